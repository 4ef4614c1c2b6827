import BowlineCore

@testable import BowlineTesting

/// Runs the machine of a simulated service without tasks: an agenda of its events, and a log of what callers get.
struct SimulatedServiceBench {
    private struct Entry {
        let instant: MonotonicInstant
        let event: SimulatedServiceMachine.Event
    }

    var machine: SimulatedServiceMachine
    var random: SeededRandom
    private(set) var now = MonotonicInstant(nanoseconds: 0)
    /// The end of each request: when, and how.
    private(set) var ends: [Int: (instant: MonotonicInstant, outcome: String)] = [:]
    /// The requests whose `respond` should run, with the life of the replica.
    private(set) var responding: [Int: Int] = [:]
    private(set) var cancelledResponses: [Int] = []
    private var agenda: [Entry] = []
    private var sent = 0

    init(
        replicas: Int = 1, seed: UInt64 = 1, tick: Duration = .milliseconds(100),
        _ configure: (inout SimulatedReplica) -> Void = { _ in }
    ) {
        var options = SimulatedReplica()
        configure(&options)
        random = SeededRandom(seed: seed)
        machine = SimulatedServiceMachine(Array(repeating: options, count: replicas), tick: tick, now: now)
    }

    /// Sends a request now.
    @discardableResult
    mutating func send(to replica: Int = 0, identity: String? = nil) -> Int {
        sent += 1
        let call = SimulatedCall(request: .get("/"), context: RequestContext(), replica: replica)
        apply(machine.sent(sent, call, identity: identity, now: now, random: &random))
        return sent
    }

    mutating func giveUp(_ id: Int) {
        apply(machine.gaveUp(id, now: now, random: &random))
    }

    mutating func respond(_ id: Int, _ answer: SimulatedAnswer = SimulatedAnswer()) {
        guard let life = responding.removeValue(forKey: id) else { return }
        apply(machine.responded(id, life: life, answer, now: now, random: &random))
    }

    mutating func schedule(_ fault: SimulatedFault, from: Int, until: Int? = nil, replicas: [Int]? = nil) {
        let scheduled = ScheduledFault(
            fault: fault, from: Self.instant(from), until: until.map { Self.instant($0) }, replicas: replicas)
        apply(machine.scheduleFault(scheduled, now: now))
    }

    mutating func change(_ replica: Int = 0, _ change: (inout SimulatedReplica) -> Void) {
        apply(machine.change(replica, now: now, random: &random, change))
    }

    /// Lets everything happen until `milliseconds` after the begin.
    mutating func run(until milliseconds: Int) {
        run(until: Self.instant(milliseconds))
    }

    mutating func run(until end: MonotonicInstant) {
        while let first = agenda.first, first.instant <= end {
            agenda.removeFirst()
            now = max(now, first.instant)
            apply(machine.happened(first.event, now: now, random: &random))
        }
        now = max(now, end)
    }

    /// When and how a request ended, such as `12 ms 200`; nil: it has not ended.
    func end(of id: Int) -> String? {
        ends[id].map { "\(Double($0.instant.nanoseconds) / 1e6) ms \($0.outcome)" }
    }

    static func instant(_ milliseconds: Int) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: Int64(milliseconds) * 1_000_000)
    }

    private mutating func apply(_ effects: [SimulatedServiceMachine.Effect]) {
        for effect in effects {
            switch effect {
            case .schedule(let event, let instant):
                let place = agenda.lastIndex { $0.instant <= instant }.map { $0 + 1 } ?? 0
                agenda.insert(Entry(instant: instant, event: event), at: place)
            case .end(let id, .answer(let answer)): ends[id] = (now, "\(answer.status.code)")
            case .end(let id, .refused): ends[id] = (now, "refused")
            case .end(let id, .dropped): ends[id] = (now, "dropped")
            case .respond(let id, let life, _): responding[id] = life
            case .cancelResponse(let id):
                responding[id] = nil
                cancelledResponses.append(id)
            }
        }
    }
}
