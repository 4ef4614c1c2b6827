internal import Bowline
internal import BowlineTesting

// Most numbers are small, so that the limits are reached.
extension PoliciesPlan {
    mutating func drawOptions(_ random: inout SeededRandom) {
        retry.maximumAttempts = random.next(in: 1..<5)
        retry.baseDelay = [.milliseconds(1), .milliseconds(50), .seconds(1)].picked(&random, else: .milliseconds(50))
        retry.throttledBaseDelay = [.milliseconds(10), .seconds(1)].picked(&random, else: .seconds(1))
        retry.maximumRetryAfter = [.seconds(2), .seconds(30)].picked(&random, else: .seconds(30))
        retry.budget = nil
        if random.nextBool(probability: 0.8) {
            var budget = RetryBudgetOptions()
            budget.ratio = [0, 0.2, 0.5].picked(&random, else: 0.2)
            budget.perSecond = [0, 1, 10].picked(&random, else: 10)
            budget.window = [.seconds(1), .seconds(10)].picked(&random, else: .seconds(10))
            retry.budget = budget
        }
        redirects = [0, 1, 10].picked(&random, else: 10)
        timeouts.poolAcquire = [.milliseconds(100), .seconds(10)].picked(&random, else: .seconds(10))
        timeouts.responseHead = [.milliseconds(200), .seconds(2), .seconds(30)].picked(&random, else: .seconds(30))
        timeouts.bodyIdle = [.milliseconds(100), .seconds(30)].picked(&random, else: .seconds(30))
        timeouts.attempt = [nil, nil, .milliseconds(60), .seconds(1)].picked(&random) ?? nil
        timeouts.total = [nil, .seconds(2), .seconds(10), .seconds(60)].picked(&random) ?? nil
        hasMiddleware = random.nextBool(probability: 0.4)
        guard random.nextBool(probability: 0.35) else { return }
        tokens = SimulationPlan.Tokens(
            delay: [.zero, .zero, .milliseconds(1), .milliseconds(200)].picked(&random, else: .zero),
            lifetime: [nil, .milliseconds(500), .seconds(2)].picked(&random) ?? nil,
            failureChance: random.nextBool() ? 0.2 : 0)
    }

    mutating func drawGates(_ random: inout SeededRandom) {
        resilience.sharesRetryAfter = random.nextBool(probability: 0.3)
        if random.nextBool(probability: 0.35) { drawRate(&random) }
        if random.nextBool(probability: 0.4) {
            var options = ConcurrencyOptions()
            options.limit = [
                .fixed(1), .fixed(2), .fixed(5), .adaptive(initial: 3, minimum: 1, maximum: 20), .adaptive(),
            ].picked(&random, else: .fixed(2))
            options.maximumWaiting = [0, 1, 4, 1_000].picked(&random, else: 4)
            options.maximumWait = [.zero, .milliseconds(100), .seconds(1), .seconds(5)].picked(&random, else: .zero)
            resilience.concurrency = options
        }
        if random.nextBool(probability: 0.45) { drawBreaker(&random) }
        if random.nextBool(probability: 0.45) {
            var options = HedgingOptions()
            options.delay = [
                .after(.milliseconds(1)), .after(.milliseconds(20)), .after(.milliseconds(200)), .percentile(0.9),
            ].picked(&random, else: .after(.milliseconds(20)))
            options.maximumHedges = random.next(in: 1..<4)
            resilience.hedging = options
        }
    }

    private mutating func drawRate(_ random: inout SeededRandom) {
        var options = RateOptions()
        options.perSecond = [0.5, 5, 20, 100].picked(&random, else: 20)
        options.burst = [1, 3, 10].picked(&random, else: 3)
        options.maximumWait = [.zero, .milliseconds(200), .seconds(1), .seconds(5)].picked(&random, else: .zero)
        resilience.rate = options
        guard random.nextBool(probability: 0.25) else { return }
        store = Store(
            delay: [.zero, .milliseconds(1), .milliseconds(150)].picked(&random, else: .zero),
            failureChance: [0, 0.2, 1].picked(&random, else: 0))
    }

    private mutating func drawBreaker(_ random: inout SeededRandom) {
        var options = BreakerOptions()
        options.failureRatio = [0.2, 0.5, 1].picked(&random, else: 0.5)
        options.minimumAttempts = [1, 3, 10].picked(&random, else: 3)
        options.window = [.seconds(1), .seconds(10)].picked(&random, else: .seconds(10))
        options.slowCallDuration = [nil, nil, .milliseconds(70)].picked(&random) ?? nil
        options.slowCallRatio = [0.3, 1].picked(&random, else: 1)
        options.open = [.milliseconds(50), .milliseconds(500), .seconds(5)].picked(&random, else: .milliseconds(500))
        options.maximumOpen = max(options.open, [.seconds(1), .seconds(60)].picked(&random, else: .seconds(60)))
        options.probes = random.next(in: 1..<4)
        resilience.breaker = options
        for _ in 0..<random.next(in: 0..<3) where random.nextBool(probability: 0.3) {
            hands.append(
                Hand(
                    at: .milliseconds(random.next(in: 0..<3_000)), isolates: random.nextBool(probability: 0.6),
                    scope: [nil, "a"].picked(&random) ?? nil))
        }
    }

    mutating func drawBalancing(_ random: inout SeededRandom) {
        guard random.nextBool(probability: 0.35) else { return }
        let count = random.next(in: 1..<5)
        var drawn = Endpoints(
            all: (0..<count).map { number in
                ServiceEndpoint(
                    Self.origin(of: "end\(number).test"), weight: number == 0 ? 1 : random.next(in: 0..<3),
                    zone: [nil, "east", "west"].picked(&random) ?? nil)
            })
        if random.nextBool(probability: 0.4) {
            for _ in 0..<random.next(in: 1..<5) {
                let numbers = (0..<count).filter { _ in random.nextBool(probability: 0.6) }
                let at = Duration.milliseconds([0, 100, 1_500].picked(&random, else: 0) * drawn.lists.count)
                drawn.lists.append(Endpoints.List(at: at, numbers: numbers))
            }
        }
        endpoints = drawn
        balancing.zone = [nil, "east"].picked(&random) ?? nil
        balancing.consecutiveFailures = random.next(in: 1..<4)
        balancing.ejection = [.milliseconds(100), .seconds(1)].picked(&random, else: .seconds(1))
        balancing.maximumEjection = [.seconds(1), .seconds(300)].picked(&random, else: .seconds(300))
        balancing.maximumEjected = [0, 0.5, 1].picked(&random, else: 0.5)
        balancing.slowStart = [.zero, .seconds(1)].picked(&random, else: .zero)
    }

    mutating func drawService(_ random: inout SeededRandom) {
        faults = [0, 0.1, 0.35, 0.7, 0.95].picked(&random, else: 0.35)
        isSlow = random.nextBool(probability: 0.1)
        let servers = hosts + (endpoints?.all.indices.map { "end\($0).test" } ?? [])
        for server in servers where random.nextBool(probability: 0.25) {
            let from = Duration.milliseconds(random.next(in: 0..<3_000))
            outages.append(
                Outage(
                    server: server, from: from, to: from + .milliseconds(random.next(in: 0..<4_000)),
                    behaviour: Outage.Behaviour.allCases.picked(&random, else: .refuses)))
        }
    }

    mutating func drawCalls(_ random: inout SeededRandom) {
        // The first, short spans make many calls come to the gates at once.
        let span = [1, 20_000, 1_000_000, 8_000_000].picked(&random, else: 20_000)
        for number in 0..<random.next(in: 1..<61) {
            calls.append(PoliciesCall.drawn(&random, number: number, hosts: hosts.count, within: span))
        }
        guard random.nextBool(probability: 0.5) else { return }
        shutdown = SimulationPlan.Shutdown.drawn(&random, lastCall: calls.map(\.start).max() ?? .zero)
    }
}
