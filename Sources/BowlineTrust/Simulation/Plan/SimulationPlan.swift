internal import Bowline
internal import BowlineTesting

/// Everything that a seed determines before a simulation begins: the client's options, the hosts and their addresses,
/// the calls, and the shutdown.
///
/// A calm plan has no faults: each of its calls must succeed.
struct SimulationPlan: Sendable {
    struct Shutdown: Sendable, Hashable {
        /// When the shutdown begins, from the simulation's begin.
        let at: Duration
        let limit: Duration
        /// A second shutdown: how long after the first, and its limit. nil: there is none.
        var second: (after: Duration, limit: Duration)?
        /// When the task of the first shutdown is cancelled, from its begin. nil: never.
        var cancelAfter: Duration?

        static func == (left: Shutdown, right: Shutdown) -> Bool {
            left.at == right.at && left.limit == right.limit && left.second?.after == right.second?.after
                && left.second?.limit == right.second?.limit && left.cancelAfter == right.cancelAfter
        }

        func hash(into hasher: inout Hasher) { hasher.combine(at) }
    }

    let seed: UInt64
    var isCalm: Bool
    /// Whether jobs that are ready at the same time run in a random order.
    var isShuffled: Bool
    var isHTTP2: Bool
    var loops: Int
    /// The names of the hosts, in the order of ``SimulationCall/host``.
    var hosts: [String] = []
    var addresses: [SimulationAddress] = []
    var pool = PoolOptions()
    var http2 = HTTP2Options()
    var retry = RetryOptions()
    var timeouts = Timeouts()
    var connection = ConnectionOptions()
    /// How long a peer keeps an unused HTTP/1.1 connection. nil: as long as the client.
    var keepAlive: Duration?
    /// How long a look-up of a name takes.
    var lookUp = Duration.zero
    /// The source of the client's bearer tokens. nil: the client has no credentials.
    var tokens: Tokens?
    var calls: [SimulationCall] = []
    var shutdown: Shutdown?
    /// Whether paths may cut connections, go dark, or pause for long.
    var hasFaultyPaths = false
    /// The path of all connections. nil: the seed decides.
    var fixedPath: SimulationPath?
    /// The behaviour of HTTP/2 peers as to streams.
    var streams = Streams.calm
    /// What the service does with each request. nil: the seed decides.
    var fixedAct: SimulationAct?

    /// A source of bearer tokens.
    struct Tokens: Sendable, Hashable {
        /// How long a token takes.
        var delay = Duration.zero
        /// How long a token is valid. nil: until the service refuses it.
        var lifetime: Duration?
        /// The probability that the source throws.
        var failureChance = 0.0
    }

    /// How HTTP/2 peers limit streams.
    enum Streams: Sendable, Hashable {
        /// 100 streams and windows of 65,535 bytes.
        case calm
        /// The peer draws its limits, and changes them.
        case moody
        /// Always so many streams.
        case fixed(Int)
    }

    static let port = 8_080

    init(seed: UInt64) {
        self.seed = seed
        var random = SeededRandom(seed: Self.mixed(seed, 1, 0))
        isCalm = random.nextBool(probability: 0.15)
        isShuffled = random.nextBool()
        isHTTP2 = random.nextBool()
        loops = random.next(in: 1..<4)
        drawHosts(&random)
        drawOptions(&random)
        drawCalls(&random)
        guard !isCalm else { return }
        hasFaultyPaths = true
        streams = .moody
        drawFaults(&random)
    }

    /// Makes a plan without faults and without chance: one host with one address, the client's default options, a path
    /// without delays, and a service that does the same with each request.
    init(isHTTP2: Bool, calls: [SimulationCall], act: SimulationAct = SimulationAct()) {
        seed = 0
        isCalm = true
        isShuffled = false
        self.isHTTP2 = isHTTP2
        loops = 1
        hosts = ["10.0.0.1"]
        addresses =
            IPAddress("10.0.0.1").map { [SimulationAddress(address: $0, port: Self.port, isHTTP2: isHTTP2)] } ?? []
        http2.negotiation = isHTTP2 ? .http2Only : .http1Only
        fixedPath = SimulationPath()
        fixedAct = act
        self.calls = calls
    }

    /// The act for an arrival of a call's request.
    func act(_ call: SimulationCall, arrival: Int) -> SimulationAct {
        if let fixedAct { return fixedAct }
        var random = SeededRandom(seed: Self.mixed(seed, UInt64(call.number) &+ 2, UInt64(arrival)))
        var act = SimulationAct.drawn(&random, isCalm: isCalm, isFirst: arrival == 1)
        // A GOAWAY refuses requests. The client sends them again, but cannot if the body exists once.
        if isCalm, isHTTP2 { act.closesAfter = false }
        return act
    }

    private static func mixed(_ seed: UInt64, _ one: UInt64, _ two: UInt64) -> UInt64 {
        var mixer = SeededRandom(seed: seed ^ (one &* 0xD1B5_4A32_D192_ED03) ^ (two &* 0x8CB9_2BA7_2F3D_8DD7))
        return mixer.next()
    }

    private mutating func drawHosts(_ random: inout SeededRandom) {
        for host in 0..<random.next(in: 1..<4) {
            guard let v4 = IPAddress(bytes: [10, 0, UInt8(host), 1]) else { continue }
            hosts.append(random.nextBool() ? "host\(host).test" : v4.description)
            addresses.append(SimulationAddress(address: v4, port: Self.port, isHTTP2: isHTTP2))
            guard let v6 = IPAddress("fd00::\(host + 1)"), random.nextBool() else { continue }
            addresses.append(SimulationAddress(address: v6, port: Self.port, isHTTP2: isHTTP2))
        }
    }

    /// The addresses of a host's name.
    func addresses(of host: String) -> [IPAddress] {
        guard let index = hosts.firstIndex(of: host) else { return [] }
        return addresses.map(\.address).filter {
            $0.description == "10.0.\(index).1" || $0.description == "fd00::\(index + 1)"
        }
    }

    private mutating func drawOptions(_ random: inout SeededRandom) {
        pool.isEnabled = random.nextBool(probability: 0.9)
        pool.maximumPerOrigin = [nil, 1, 2, 4].picked(&random) ?? nil
        pool.maximumIdlePerOrigin = random.next(in: 0..<4)
        pool.maximumIdle = random.next(in: 0..<8)
        pool.idleTimeout = [nil, .milliseconds(50), .seconds(1), .seconds(90)].picked(&random) ?? nil
        pool.maximumLifetime = [nil, .milliseconds(500), .seconds(600)].picked(&random) ?? nil
        pool.maximumUses = [nil, nil, 1, 3].picked(&random) ?? nil
        http2.negotiation = isHTTP2 ? .http2Only : .http1Only
        http2.maximumConnectionsPerOrigin = random.next(in: 1..<4)
        http2.maximumStreams = [1, 5, 256].picked(&random, else: 256)
        http2.keepAliveInterval = [nil, .seconds(1), .seconds(30)].picked(&random) ?? nil
        connection.writeBufferLimit = [1_024, 65_536].picked(&random, else: 65_536)
        connection.readBufferLimit = [1_024, 65_536].picked(&random, else: 65_536)
        connection.replayLimit = [0, 10_000, 65_536].picked(&random, else: 65_536)
        connection.discardLimit = [0, 1_000, 262_144].picked(&random, else: 262_144)
        timeouts.poolAcquire = .seconds(600)
        timeouts.total = .seconds(900)
        timeouts.responseHead = .seconds(120)
        timeouts.bodyIdle = .seconds(120)
        retry.maximumAttempts = random.next(in: 1..<5)
        retry.baseDelay = [.milliseconds(1), .milliseconds(50), .seconds(1)].picked(&random, else: .milliseconds(50))
        retry.budget = budget(&random)
        lookUp = [.zero, .milliseconds(2), .milliseconds(100)].picked(&random, else: .zero)
        guard random.nextBool(probability: 0.3) else { return }
        tokens = Tokens(
            delay: [.zero, .milliseconds(1), .milliseconds(200)].picked(&random, else: .zero),
            lifetime: [nil, .milliseconds(500), .seconds(2)].picked(&random) ?? nil)
    }

    private func budget(_ random: inout SeededRandom) -> RetryBudgetOptions? {
        guard random.nextBool(probability: 0.8) else { return nil }
        var budget = RetryBudgetOptions()
        budget.ratio = [0, 0.2, 0.5].picked(&random, else: 0.2)
        budget.perSecond = [0, 1, 10].picked(&random, else: 10)
        return budget
    }

    private mutating func drawCalls(_ random: inout SeededRandom) {
        // The first, short spans make many calls wait for few connections.
        let span = [1, 20_000, 1_000_000, 8_000_000].picked(&random, else: 20_000)
        for number in 0..<random.next(in: 1..<61) {
            calls.append(SimulationCall.drawn(&random, number: number, hosts: hosts.count, within: span))
            guard isCalm else { continue }
            calls[number].cancelAfter = nil
            calls[number].total = nil
            calls[number].allowsResend = true
        }
    }

    private mutating func drawFaults(_ random: inout SeededRandom) {
        timeouts.connect = [.milliseconds(300), .seconds(2), .seconds(10)].picked(&random, else: .seconds(10))
        timeouts.poolAcquire = [.milliseconds(200), .seconds(2), .seconds(10)].picked(&random, else: .seconds(10))
        timeouts.responseHead = [.milliseconds(200), .seconds(2), .seconds(30)].picked(&random, else: .seconds(30))
        timeouts.bodyIdle = [.milliseconds(200), .seconds(2), .seconds(30)].picked(&random, else: .seconds(30))
        timeouts.attempt = [nil, nil, .seconds(1)].picked(&random) ?? nil
        timeouts.total = [nil, .seconds(2), .seconds(10), .seconds(60)].picked(&random) ?? nil
        http2.keepAliveTimeout = [.milliseconds(200), .seconds(15)].picked(&random, else: .seconds(15))
        if random.nextBool(probability: 0.2) { pool.maximumWaiting = random.next(in: 0..<4) }
        keepAlive = [nil, .milliseconds(10), .milliseconds(300), .seconds(2)].picked(&random) ?? nil
        for index in addresses.indices where random.nextBool(probability: 0.35) {
            let behaviour: SimulationAddress.Behaviour = random.nextBool() ? .refuses : .silent
            if random.nextBool(probability: 0.4) {
                addresses[index].usual = behaviour
            } else {
                let from = Duration.milliseconds(random.next(in: 0..<6_000))
                addresses[index].outage = SimulationAddress.Outage(
                    from: from, to: from + .milliseconds(random.next(in: 0..<6_000)), behaviour: behaviour)
            }
        }
        tokens?.failureChance = random.nextBool() ? 0.2 : 0
        guard random.nextBool(probability: 0.6) else { return }
        shutdown = Shutdown.drawn(&random, lastCall: calls.map(\.start).max() ?? .zero)
    }
}
