import BowlineCore
import BowlineTesting
import Foundation
import Testing

@testable import BowlineTransport

@Suite("The lists of addresses for a balancer")
struct HostAddressesMachineTests {
    private let origin: Origin
    private let list = ["2001:db8::1", "192.0.2.1"].compactMap { IPAddress($0) }
    private let newer = ["192.0.2.2"].compactMap { IPAddress($0) }

    init() throws {
        origin = try ServiceURL("http://api.test").origin
    }

    @Test("A list is used until its validity ends, and then while one look-up runs")
    func renewal() {
        var machine = HostAddressesStateMachine()
        #expect(machine.known(origin, now: .at(0)) == .absent)
        machine.found(origin, list, freshUntil: .at(30), now: .at(0))
        #expect(machine.known(origin, now: .at(29)) == .use(list))
        #expect(machine.known(origin, now: .at(30)) == .renew(list))
        #expect(machine.known(origin, now: .at(31)) == .use(list))
        machine.found(origin, newer, freshUntil: .at(62), now: .at(32))
        #expect(machine.known(origin, now: .at(61)) == .use(newer))
        #expect(machine.known(origin, now: .at(62)) == .renew(newer))
        machine.gone(origin)
        #expect(machine.known(origin, now: .at(63)) == .absent)
    }

    @Test("A list with an answer that may not be kept is used for 5 s")
    func pause() {
        var machine = HostAddressesStateMachine()
        machine.found(origin, list, freshUntil: nil, now: .at(10))
        #expect(machine.known(origin, now: .at(14)) == .use(list))
        #expect(machine.known(origin, now: .at(15)) == .renew(list))
    }

    @Test(
        "After a failed dial the host is looked up again, but not within 5 s of the last look-up",
        arguments: [(1, 5), (4, 5), (5, 5), (9, 9)])
    func failedDial(failed: Int, due: Int) {
        var machine = HostAddressesStateMachine()
        machine.found(origin, list, freshUntil: .at(30), now: .at(0))
        machine.dialFailed(origin, now: .at(failed))
        if due > failed { #expect(machine.known(origin, now: .at(due - 1)) == .use(list)) }
        #expect(machine.known(origin, now: .at(due)) == .renew(list))
        // Failures during the look-up ask for no second one.
        machine.dialFailed(origin, now: .at(due))
        #expect(machine.known(origin, now: .at(due)) == .use(list))
        machine.found(origin, newer, freshUntil: .at(due + 30), now: .at(due))
        #expect(machine.known(origin, now: .at(due + 29)) == .use(newer))
    }

    @Test("A failed dial never makes a list valid for longer")
    func failedDialOfShortList() {
        var machine = HostAddressesStateMachine()
        machine.found(origin, list, freshUntil: .at(2), now: .at(0))
        machine.dialFailed(origin, now: .at(1))
        #expect(machine.known(origin, now: .at(2)) == .renew(list))
    }

    @Test("Origins have separate lists; of too many, the least recently used goes")
    func leastRecentlyUsed() throws {
        var machine = HostAddressesStateMachine(limits: HostAddressesStateMachine.Limits(maximumOrigins: 3))
        let origins = try (0..<4).map { try ServiceURL("http://host\($0).test").origin }
        for origin in origins.prefix(3) { machine.found(origin, list, freshUntil: .at(30), now: .at(0)) }
        #expect(machine.known(origins[0], now: .at(1)) == .use(list))
        machine.found(origins[3], newer, freshUntil: .at(30), now: .at(1))
        let known = origins.map { machine.known($0, now: .at(2)) }
        #expect(known == [.use(list), .absent, .use(list), .use(newer)])
        #expect(machine.count == 3)
        #expect(HostAddressesStateMachine.Limits().maximumOrigins == 1000)
    }

    @Test("At the ends of the clock nothing overflows")
    func extremes() {
        var machine = HostAddressesStateMachine()
        let last = MonotonicInstant.distantFuture
        machine.found(origin, list, freshUntil: nil, now: last)
        machine.dialFailed(origin, now: last)
        #expect(machine.known(origin, now: last) == .renew(list))
        machine.found(origin, list, freshUntil: last, now: MonotonicInstant(nanoseconds: .min))
        #expect(machine.known(origin, now: .at(0)) == .use(list))
    }

    @Test("The machine makes exactly the transitions of its table")
    func table() throws {
        var made: Set<Transition> = []
        for state in HostAddressesStateMachine.ListState.allCases {
            for input in Transition.Input.allCases { made.insert(Transition.made(origin, in: state, input)) }
        }
        let documented = try Transition.documented()
        #expect(made.subtracting(documented).map(\.description).sorted() == [])
        #expect(documented.subtracting(made).map(\.description).sorted() == [])
    }

    @Test("For 100,000 random events the machine does what the model does")
    func walk() throws {
        var random = SeededRandom.fromEnvironment()
        for round in 0..<500 {
            var walk = try HostAddressesWalk(maximumOrigins: random.next(in: 1..<5))
            for step in 0..<200 {
                let difference = walk.step(&random)
                try #require(difference == nil, "round \(round), step \(step): \(difference ?? "")")
            }
        }
    }
}

extension MonotonicInstant {
    fileprivate static func at(_ seconds: Int) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: 0).advanced(by: .seconds(seconds))
    }
}

/// One row of the table in the machine's documentation.
private struct Transition: Hashable, CustomStringConvertible {
    enum Input: String, CaseIterable {
        case known, found, gone, dialFailed, dialFailedSoon, validityEnded
    }

    let state: String
    let input: String
    let result: String
    let next: String

    var description: String { "\(state) | \(input) | \(result) | \(next)" }

    static func documented() throws -> Set<Transition> {
        var root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let path = "Sources/BowlineTransport/Dial/Resolve/HostAddressesStateMachine.swift"
        let source = try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
        let rows = source.split(separator: "\n").filter { $0.hasPrefix("/// | ") }.map { row in
            row.dropFirst("/// |".count).split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
        return Set(
            rows.filter { $0.count == 4 && $0[1] != "input" }.map {
                Transition(state: $0[0], input: $0[1], result: $0[2], next: $0[3])
            })
    }

    /// Brings a machine into the state, makes the input and returns what happened. The list was found at 0 s and is
    /// valid until 20 s, or until 10 s if it is to be over at 10 s.
    static func made(_ origin: Origin, in state: HostAddressesStateMachine.ListState, _ input: Input) -> Transition {
        var machine = HostAddressesStateMachine()
        let list = ["192.0.2.1"].compactMap { IPAddress($0) }
        // `dialFailedSoon` comes less than 5 s after the list was found.
        var now = MonotonicInstant.at(input == .dialFailedSoon ? 3 : 10)
        if state != .absent {
            let isOver = state == .due || state == .asking
            machine.found(origin, list, freshUntil: isOver ? .at(2) : .at(20), now: .at(0))
        }
        if state == .asking { _ = machine.known(origin, now: .at(2)) }
        #expect(machine.state(of: origin, now: now) == state)
        var result = "nothing"
        switch input {
        case .known:
            result =
                switch machine.known(origin, now: now) {
                case .absent: "absent"
                case .use: "use"
                case .renew: "renew"
                }
        case .found: machine.found(origin, list, freshUntil: .at(40), now: now)
        case .gone: machine.gone(origin)
        case .dialFailed, .dialFailedSoon: machine.dialFailed(origin, now: now)
        case .validityEnded: now = .at(20)
        }
        let next = machine.state(of: origin, now: now)
        return Transition(state: state.rawValue, input: input.rawValue, result: result, next: next.rawValue)
    }
}

/// The machine beside a model that keeps its lists in an array and searches it each time.
private struct HostAddressesWalk: ~Copyable {
    private struct List {
        let origin: Origin
        let addresses: [IPAddress]
        let found: MonotonicInstant
        var freshUntil: MonotonicInstant
        var isAsking = false
    }

    private var machine: HostAddressesStateMachine
    private let maximumOrigins: Int
    private let origins: [Origin]
    private var now = MonotonicInstant.at(0)
    /// The model: the least recently used list first.
    private var lists: [List] = []

    init(maximumOrigins: Int) throws {
        self.maximumOrigins = maximumOrigins
        machine = HostAddressesStateMachine(limits: HostAddressesStateMachine.Limits(maximumOrigins: maximumOrigins))
        origins = try (0..<5).map { try ServiceURL("http://host\($0).test").origin }
    }

    /// Performs one event on the machine and the model. Returns the difference, or nil.
    mutating func step(_ random: inout SeededRandom) -> String? {
        let origin = origins[random.next(in: 0..<origins.count)]
        switch random.next(in: 0..<10) {
        case 0..<2: now = now.advanced(by: .milliseconds(random.next(in: 0..<8_000)))
        case 2: dialFailed(origin)
        case 3 where random.nextBool():
            machine.gone(origin)
            lists.removeAll { $0.origin == origin }
        case 4..<6: found(origin, &random)
        default:
            let (real, expected) = (machine.known(origin, now: now), known(origin))
            if real != expected { return "\(origin): \(real), not \(expected)" }
        }
        return machine.count == lists.count ? nil : "\(machine.count) lists, not \(lists.count)"
    }

    private mutating func known(_ origin: Origin) -> HostAddressesStateMachine.Known {
        guard let index = lists.firstIndex(where: { $0.origin == origin }) else { return .absent }
        var list = lists.remove(at: index)
        let isDue = list.freshUntil <= now && !list.isAsking
        if isDue { list.isAsking = true }
        lists.append(list)
        return isDue ? .renew(list.addresses) : .use(list.addresses)
    }

    private mutating func found(_ origin: Origin, _ random: inout SeededRandom) {
        let all = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].compactMap { IPAddress($0) }
        let addresses = all.filter { _ in random.nextBool() }
        let freshUntil = random.nextBool() ? now.advanced(by: .seconds(random.next(in: 1..<30))) : nil
        machine.found(origin, addresses, freshUntil: freshUntil, now: now)
        lists.removeAll { $0.origin == origin }
        lists.append(
            List(
                origin: origin, addresses: addresses, found: now,
                freshUntil: freshUntil ?? now.advanced(by: .seconds(5))))
        if lists.count > maximumOrigins { lists.removeFirst() }
    }

    private mutating func dialFailed(_ origin: Origin) {
        machine.dialFailed(origin, now: now)
        guard let index = lists.firstIndex(where: { $0.origin == origin }), !lists[index].isAsking else { return }
        let earliest = lists[index].found.advanced(by: .seconds(5))
        let due = earliest > now ? earliest : now
        if due < lists[index].freshUntil { lists[index].freshUntil = due }
    }
}
