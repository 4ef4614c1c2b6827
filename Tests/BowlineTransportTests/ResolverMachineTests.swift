import BowlineTesting
import Testing

@testable import BowlineTransport

@Suite("The order of name look-ups")
struct ResolverMachineTests {
    typealias Machine = ResolverStateMachine<String, String>

    enum Event: Sendable {
        /// A waiter, and the name it wants.
        case wanted(String, String)
        case forgotten(String)
        case threadBecameFree
        case ended(String)
        case threadNotStarted
    }

    enum Effect: Equatable, Sendable {
        case start, enough
        /// The waiter that gets its cancellation, if there is one.
        case forgot(String?, starts: Bool)
        case run(String), threadEnds
        case told([String])
    }

    /// Two look-ups at a time, three threads.
    static let rows: [([Event], [Effect])] = [
        // One look-up for all waiters of a name.
        (
            [
                .wanted("1", "a"), .wanted("2", "a"), .threadBecameFree, .wanted("3", "a"), .ended("a"),
                .threadBecameFree,
            ],
            [.start, .enough, .run("a"), .enough, .told(["1", "2", "3"]), .threadEnds]
        ),
        // After it has ended, the name is looked up anew.
        (
            [.wanted("1", "a"), .threadBecameFree, .ended("a"), .wanted("2", "a"), .threadBecameFree],
            [.start, .run("a"), .told(["1"]), .enough, .run("a")]
        ),
        // The third name waits for a place, and the first thread that is free takes it.
        (
            [
                .wanted("1", "a"), .wanted("2", "b"), .wanted("3", "c"), .threadBecameFree, .threadBecameFree,
                .ended("b"),
                .threadBecameFree,
            ],
            [.start, .start, .enough, .run("a"), .run("b"), .told(["2"]), .run("c")]
        ),
        // A queued look-up that is no longer needed never runs.
        ([.wanted("1", "a"), .forgotten("1"), .threadBecameFree], [.start, .forgot("1", starts: false), .threadEnds]),
        // One of two waiters leaves: the look-up continues for the other.
        (
            [.wanted("1", "a"), .wanted("2", "a"), .forgotten("1"), .threadBecameFree, .ended("a")],
            [.start, .enough, .forgot("1", starts: false), .run("a"), .told(["2"])]
        ),
        // An abandoned look-up leaves its place to another name.
        (
            [
                .wanted("1", "a"), .wanted("2", "b"), .threadBecameFree, .threadBecameFree, .wanted("3", "c"),
                .forgotten("1"),
                .threadBecameFree, .ended("a"), .threadBecameFree,
            ],
            [
                .start, .start, .run("a"), .run("b"), .enough, .forgot("1", starts: true), .run("c"), .told([]),
                .threadEnds,
            ]
        ),
        // A new waiter gets its answer: there is no second look-up of the name.
        (
            [.wanted("1", "a"), .threadBecameFree, .forgotten("1"), .wanted("2", "a"), .ended("a")],
            [.start, .run("a"), .forgot("1", starts: false), .enough, .told(["2"])]
        ),
        // There are never more threads than allowed, whatever was abandoned.
        (
            [
                .wanted("1", "a"), .wanted("2", "b"), .threadBecameFree, .threadBecameFree, .forgotten("1"),
                .forgotten("2"),
                .wanted("3", "c"), .wanted("4", "d"), .threadBecameFree, .ended("a"), .threadBecameFree,
            ],
            [
                .start, .start, .run("a"), .run("b"), .forgot("1", starts: false), .forgot("2", starts: false),
                .start, .enough, .run("c"), .told([]), .run("d"),
            ]
        ),
        // Without any thread the waiters fail.
        (
            [.wanted("1", "a"), .wanted("2", "a"), .threadNotStarted, .wanted("3", "a")],
            [.start, .enough, .told(["1", "2"]), .start]
        ),
        // If there is another thread, they wait for it.
        (
            [
                .wanted("1", "a"), .threadBecameFree, .wanted("2", "b"), .threadNotStarted, .ended("a"),
                .threadBecameFree,
            ],
            [.start, .run("a"), .start, .told([]), .told(["1"]), .run("b")]
        ),
        // A finished wait cannot be forgotten, and an unexpected answer does nothing.
        (
            [.wanted("1", "a"), .threadBecameFree, .ended("a"), .forgotten("1"), .ended("a"), .ended("b")],
            [.start, .run("a"), .told(["1"]), .forgot(nil, starts: false), .told([]), .told([])]
        ),
    ]

    @Test("Each sequence of events has the effects that the table says", arguments: rows.indices)
    func sequences(index: Int) {
        let (events, expected) = Self.rows[index]
        var walk = Walk(limits: Machine.Limits(wanted: 2, threads: 3))
        #expect(events.map { walk.perform($0) } == expected)
    }

    @Test("For 100,000 random events the machine does what the model does, and no look-up is left without a thread")
    func walk() throws {
        var random = SeededRandom.fromEnvironment()
        for round in 0..<500 {
            let limits = Machine.Limits(wanted: random.next(in: 1..<4), threads: random.next(in: 4..<7))
            var walk = Walk(limits: limits)
            for step in 0..<200 {
                let event = walk.event(&random)
                let effect = walk.perform(event)
                let difference = walk.compare(event, effect)
                try #require(difference == nil, "round \(round), step \(step), \(event): \(difference ?? "")")
            }
        }
    }
}

/// The machine, with waiters named by texts, beside a model that keeps lists and counts them anew each time.
private struct Walk: ~Copyable {
    private struct Model {
        var name: String
        var waiters: [String]
        var isRunning = false
    }

    private let limits: ResolverMachineTests.Machine.Limits
    private var machine: ResolverMachineTests.Machine
    private var ids: [String: (name: String, id: ResolverMachineTests.Machine.WaiterID)] = [:]
    /// In the order of their first waiters.
    private var model: [Model] = []
    private var threads = 0
    private var waitersMade = 0
    /// Whether a thread that was due could not be started: its look-ups wait for another.
    private var isShort = false

    init(limits: ResolverMachineTests.Machine.Limits) {
        self.limits = limits
        machine = ResolverMachineTests.Machine(limits: limits)
    }

    mutating func perform(_ event: ResolverMachineTests.Event) -> ResolverMachineTests.Effect {
        switch event {
        case .wanted(let waiter, let name):
            let id = machine.nextWaiterID()
            ids[waiter] = (name, id)
            return machine.wanted(name, by: waiter, id) == .startOne ? .start : .enough
        case .forgotten(let waiter):
            guard let (name, id) = ids[waiter] else { return .enough }
            let forgotten = machine.forgotten(name, id)
            return .forgot(forgotten.waiter, starts: forgotten.threads == .startOne)
        case .threadBecameFree: return machine.threadBecameFree().map { .run($0) } ?? .threadEnds
        case .ended(let name): return .told(machine.lookUpEnded(name))
        case .threadNotStarted: return .told(machine.threadNotStarted())
        }
    }

    /// Any event that is possible now.
    mutating func event(_ random: inout SeededRandom) -> ResolverMachineTests.Event {
        let running = model.filter(\.isRunning)
        let free = threads - running.count
        switch random.next(in: 0..<10) {
        case 0..<2 where free > 0: return .threadBecameFree
        case 2 where free > 0 && random.nextBool(probability: 0.2): return .threadNotStarted
        case 3..<5 where !running.isEmpty: return .ended(running[random.next(in: 0..<running.count)].name)
        case 5..<8 where !ids.isEmpty:
            let waiters = ids.keys.sorted()
            return .forgotten(waiters[random.next(in: 0..<waiters.count)])
        default:
            waitersMade += 1
            return .wanted("\(waitersMade)", "host\(random.next(in: 0..<8))")
        }
    }

    /// Applies the machine's event to the model. Returns the difference, or nil.
    mutating func compare(_ event: ResolverMachineTests.Event, _ effect: ResolverMachineTests.Effect) -> String? {
        let expected = expect(event)
        if let expected, expected != effect { return "\(effect) where the model has \(expected)" }
        if effect == .start { threads += 1 }
        if case .forgot(_, starts: true) = effect { threads += 1 }
        return broken()
    }

    /// What the model does; for what may start a thread only whether it may. nil: the counts say whether it was right.
    private mutating func expect(_ event: ResolverMachineTests.Event) -> ResolverMachineTests.Effect? {
        switch event {
        case .wanted(let waiter, let name):
            if let index = model.firstIndex(where: { $0.name == name }) {
                model[index].waiters.append(waiter)
            } else {
                model.append(Model(name: name, waiters: [waiter]))
            }
            return isShort ? nil : isThreadDue ? .start : .enough
        case .forgotten(let waiter):
            ids[waiter] = nil
            guard let index = model.firstIndex(where: { $0.waiters.contains(waiter) }) else {
                return .forgot(nil, starts: false)
            }
            model[index].waiters.removeAll { $0 == waiter }
            let isLast = model[index].waiters.isEmpty
            if isLast, !model[index].isRunning { model.remove(at: index) }
            return isShort ? nil : .forgot(waiter, starts: isLast && isThreadDue)
        case .threadBecameFree:
            guard wantedRunning < limits.wanted, let index = model.firstIndex(where: { !$0.isRunning }) else {
                threads -= 1
                return .threadEnds
            }
            model[index].isRunning = true
            return .run(model[index].name)
        case .ended(let name):
            guard let index = model.firstIndex(where: { $0.name == name && $0.isRunning }) else { return .told([]) }
            return .told(model.remove(at: index).waiters)
        case .threadNotStarted:
            threads -= 1
            isShort = threads > 0
            guard threads == 0 else { return .told([]) }
            defer { model = [] }
            return .told(model.flatMap(\.waiters))
        }
    }

    private var wantedRunning: Int { model.count { $0.isRunning && !$0.waiters.isEmpty } }

    private var isThreadDue: Bool {
        let running = model.count(where: \.isRunning)
        return model.count - running > threads - running && wantedRunning + threads - running < limits.wanted
            && threads < limits.threads
    }

    private borrowing func broken() -> String? {
        let running = model.count(where: \.isRunning)
        if machine.threadCount != threads { return "\(machine.threadCount) threads, not \(threads)" }
        if machine.runningCount != running { return "\(machine.runningCount) run, not \(running)" }
        if machine.queuedCount != model.count - running { return "\(machine.queuedCount) are queued" }
        let abandoned = model.count { $0.isRunning && $0.waiters.isEmpty }
        if machine.abandonedCount != abandoned { return "\(machine.abandonedCount) are abandoned, not \(abandoned)" }
        if machine.waiterCount != model.reduce(0, { $0 + $1.waiters.count }) { return "other waiters" }
        if threads > limits.threads { return "\(threads) threads" }
        if model.count > running, threads == 0 { return "a look-up is queued, and there is no thread" }
        if !isShort, isThreadDue { return "a thread is due that was not started" }
        return nil
    }
}
