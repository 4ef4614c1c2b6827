internal import Bowline
internal import BowlineTesting

/// All orders of events on two connections and three requests, with the whole client.
///
/// Three calls begin at once, and two connections are allowed, so one call waits. The service holds all requests. Then
/// events come in every order: the peer answers one of them, ends a connection, a deadline passes, a caller cancels, and
/// the client shuts down. Orders that lead to the same state are continued once.
struct SimulationOrders: Sendable {
    enum Event: Hashable, Sendable, CustomStringConvertible {
        /// The service answers the request of this call.
        case done(Int)
        /// The peer ends an open connection: the first, or the second.
        case close(Int)
        /// Time passes until the next deadline of a call.
        case timeout
        /// The caller cancels this call.
        case cancel(Int)
        case shutdown

        var description: String {
            switch self {
            case .done(let call): "done \(call)"
            case .close(let connection): "close \(connection)"
            case .timeout: "timeout"
            case .cancel(let call): "cancel \(call)"
            case .shutdown: "shutdown"
            }
        }
    }

    /// The kinds of requests and connections of one exploration.
    struct Setup: Hashable, Sendable, CustomStringConvertible {
        var isHTTP2 = false
        var isPost = false
        /// Whether the peer resets connections. Otherwise it closes them.
        var isReset = false
        /// The order in which the deadlines of the calls pass.
        var deadlines = [0, 1, 2]

        static var all: [Setup] {
            var setups: [Setup] = []
            for isHTTP2 in [false, true] {
                for isPost in [false, true] {
                    for isReset in [false, true] {
                        // The calls differ: two have a connection, and the third waits.
                        for deadlines in [[0, 1, 2], [2, 1, 0]] {
                            setups.append(
                                Setup(isHTTP2: isHTTP2, isPost: isPost, isReset: isReset, deadlines: deadlines))
                        }
                    }
                }
            }
            return setups
        }

        var description: String {
            "\(isHTTP2 ? "HTTP/2" : "HTTP/1.1"), \(isPost ? "POST" : "GET"), \(isReset ? "reset" : "close"), "
                + "deadlines \(deadlines)"
        }
    }

    /// The state after a path, and what can follow.
    struct State: Sendable {
        let fingerprint: String
        let events: [Event]
        let violations: [String]
        let trace: [String]
    }

    /// The result of one exploration.
    struct Result: Sendable {
        var orders = 0
        var states = 0
        /// The first orders that violate a rule, with the rule.
        var violations: [String] = []
    }

    let setup: Setup
    let depth: Int

    /// Performs all orders of up to ``depth`` events.
    func explore() async -> Result {
        var result = Result()
        var seen: Set<String> = []
        var frontier: [(path: [Event], events: [Event])] = []
        let begin = await replay([])
        result.add(begin, setup, [])
        frontier.append(([], begin.events))
        for _ in 0..<depth {
            var longer: [(path: [Event], events: [Event])] = []
            for (path, events) in frontier {
                for event in events {
                    let next = path + [event]
                    let state = await replay(next)
                    result.orders += 1
                    result.add(state, setup, next)
                    guard result.violations.count < 10 else { return result }
                    if seen.insert(state.fingerprint).inserted { longer.append((next, state.events)) }
                }
            }
            frontier = longer
        }
        result.states = seen.count
        return result
    }

    /// Performs one order of events, lets all calls end, and judges the record.
    func replay(_ path: [Event]) async -> State {
        let plan = SimulationPlan(setup)
        do {
            return try await withVirtualTime(seed: 1, limit: SimulationRun.longest) { time in
                let world = SimulationWorld(time, plan)
                let steps = SimulationOrderSteps(world, setup)
                var record = try await world.withClient { client, caller in
                    try await steps.perform(path, client, caller)
                }
                try await world.addRemains(to: &record)
                return State(
                    fingerprint: steps.fingerprint, events: steps.events,
                    violations: SimulationJudge(record).violations, trace: record.trace)
            }
        } catch {
            return State(fingerprint: "", events: [], violations: ["the simulation ended: \(error)"], trace: [])
        }
    }
}

extension SimulationOrders.Result {
    fileprivate mutating func add(
        _ state: SimulationOrders.State, _ setup: SimulationOrders.Setup, _ path: [SimulationOrders.Event]
    ) {
        guard !state.violations.isEmpty else { return }
        violations.append("\(setup): \(path): \(state.violations.joined(separator: "; "))")
    }
}

extension SimulationPlan {
    /// Two connections, three calls, and a service that holds all requests.
    fileprivate init(_ setup: SimulationOrders.Setup) {
        let calls = (0..<3).map { number in
            var call = SimulationCall(number: number)
            call.method = setup.isPost ? .post : .get
            call.answerCount = 10
            let place = setup.deadlines.firstIndex(of: number) ?? number
            call.total = .seconds(5 + 3 * place)
            return call
        }
        var act = SimulationAct()
        act.reaction = .isHeld
        self.init(isHTTP2: setup.isHTTP2, calls: calls, act: act)
        isCalm = false
        streams = .fixed(1)
        pool.maximumPerOrigin = 2
        http2.maximumConnectionsPerOrigin = 2
        retry.maximumAttempts = 2
        retry.baseDelay = .milliseconds(10)
    }
}
