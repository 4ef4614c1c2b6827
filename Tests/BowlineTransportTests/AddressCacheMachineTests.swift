import BowlineCore
import BowlineTesting
import Foundation
import Testing

@testable import BowlineTransport

@Suite("The answers of a resolver that a client keeps")
struct AddressCacheMachineTests {
    typealias Machine = AddressCacheStateMachine<String>

    static let six = NameQuery("a.test", .v6)
    static let four = NameQuery("a.test", .v4)
    static let failure = NameLookupError(.temporary)
    static let hour = Duration.seconds(3600)

    @Test("An answer without a validity is fresh for 30 s, and one with a validity as long as that")
    func validity() {
        for (validFor, seconds) in [(nil, 30), (Duration.seconds(5), 5), (.seconds(1000), 1000)] {
            var machine = Harness()
            machine.look(up: Self.six, .success(ResolvedAddresses(Self.addresses(.v6), validFor: validFor)))
            machine.now = .after(.seconds(seconds) - .nanoseconds(1))
            #expect(machine.cached(Self.six) == Self.addresses(.v6))
            machine.now = .after(.seconds(seconds))
            #expect(machine.cached(Self.six) == nil)
        }
    }

    @Test(
        "An answer with a validity of zero or less is never fresh, and is used if the next look-up fails",
        arguments: [Duration.zero, .seconds(-1), .seconds(Int64.min / 2)])
    func zeroValidity(validFor: Duration) {
        var machine = Harness()
        let first = machine.look(up: Self.six, .success(ResolvedAddresses(Self.addresses(.v6), validFor: validFor)))
        #expect(first == .success(Self.addresses(.v6)))
        #expect(machine.cached(Self.six) == nil)
        #expect(machine.look(up: Self.six, .failure(Self.failure)) == .success(Self.addresses(.v6)))
    }

    @Test("The longest validity does not end")
    func endless() {
        var machine = Harness()
        let answer = ResolvedAddresses(Self.addresses(.v6), validFor: .seconds(Int64.max / 2))
        machine.look(up: Self.six, .success(answer))
        machine.now = .after(.seconds(1_000_000_000))
        #expect(machine.cached(Self.six) == Self.addresses(.v6))
    }

    @Test("A stale answer is used for one hour after its validity")
    func staleness() {
        for (seconds, expected) in [
            (3629, Result<[IPAddress], NameLookupError>.success(Self.addresses(.v6))), (3630, .failure(Self.failure)),
        ] {
            var machine = Harness()
            machine.look(up: Self.six, .success(ResolvedAddresses(Self.addresses(.v6))))
            machine.now = .after(.seconds(seconds))
            #expect(machine.look(up: Self.six, .failure(Self.failure)) == expected)
        }
    }

    @Test("An expired answer is used for one hour after it has expired")
    func expired() {
        var machine = Harness()
        machine.look(up: Self.six, .success(ResolvedAddresses(Self.addresses(.v6), validFor: Self.hour * 10)))
        machine.expire("a.test")
        machine.now = .after(Self.hour - .seconds(1))
        #expect(machine.look(up: Self.six, .failure(Self.failure)) == .success(Self.addresses(.v6)))
        machine.now = .after(Self.hour)
        #expect(machine.look(up: Self.six, .failure(Self.failure)) == .failure(Self.failure))
    }

    @Test("A failure for any reason but noSuchHost leaves the answer, and noSuchHost removes it")
    func reasons() {
        for reason in [NameLookupError.Reason.noAddress, .temporary, .unknownZone, .noResources, .other] {
            var machine = Harness()
            machine.look(up: Self.six, .success(ResolvedAddresses(Self.addresses(.v6), validFor: .zero)))
            let answer = machine.look(up: Self.six, .failure(NameLookupError(reason)))
            #expect(answer == .success(Self.addresses(.v6)), "\(reason)")
        }
        var machine = Harness()
        machine.look(up: Self.six, .success(ResolvedAddresses(Self.addresses(.v6), validFor: .zero)))
        let denial = NameLookupError(.noSuchHost)
        #expect(machine.look(up: Self.six, .failure(denial)) == .failure(denial))
        #expect(machine.look(up: Self.six, .failure(Self.failure)) == .failure(Self.failure))
    }

    @Test("An empty answer is kept, too")
    func empty() {
        var machine = Harness()
        #expect(machine.look(up: Self.six, .success(ResolvedAddresses([]))) == .success([]))
        #expect(machine.cached(Self.six) == [])
    }

    @Test("noSuchHost is an empty answer only while the other family has fresh addresses")
    func denied() {
        var machine = Harness()
        machine.look(up: Self.six, .failure(NameLookupError(.noSuchHost)))
        #expect(machine.cached(Self.six) == nil)
        machine.look(up: Self.four, .success(ResolvedAddresses(Self.addresses(.v4), validFor: .seconds(20))))
        #expect(machine.cached(Self.six) == [])
        machine.now = .after(.seconds(20))
        #expect(machine.cached(Self.six) == nil)
        machine.look(up: Self.four, .success(ResolvedAddresses([])))
        #expect(machine.cached(Self.six) == nil)
    }

    @Test("Hosts, families and names with a trailing dot have separate answers")
    func separate() {
        var machine = Harness()
        machine.look(up: Self.six, .success(ResolvedAddresses(Self.addresses(.v6))))
        for other in [Self.four, NameQuery("a.test.", .v6), NameQuery("b.test", .v6)] {
            #expect(machine.cached(other) == nil, "\(other)")
        }
        machine.look(up: NameQuery("b.test", .v6), .success(ResolvedAddresses(Self.addresses(.v6))))
        machine.expire("b.test")
        #expect(machine.cached(Self.six) == Self.addresses(.v6))
        #expect(machine.cached(NameQuery("b.test", .v6)) == nil)
    }

    @Test("Addresses of the other family are dropped")
    func otherFamily() {
        var machine = Harness()
        let both = ResolvedAddresses(Self.addresses(.v4) + Self.addresses(.v6))
        #expect(machine.look(up: Self.six, .success(both)) == .success(Self.addresses(.v6)))
        #expect(machine.cached(Self.six) == Self.addresses(.v6))
    }

    @Test("Of too many answers the least recently used goes")
    func leastRecentlyUsed() {
        var machine = Harness(limits: Machine.Limits(maximumAnswers: 3))
        let queries = (0..<4).map { NameQuery("host\($0).test", .v6) }
        for query in queries.prefix(3) { machine.look(up: query, .success(ResolvedAddresses(Self.addresses(.v6)))) }
        #expect(machine.cached(queries[0]) != nil)
        machine.look(up: queries[3], .success(ResolvedAddresses(Self.addresses(.v6))))
        #expect(queries.map { machine.cached($0) != nil } == [true, false, true, true])
        #expect(Machine.Limits().maximumAnswers == 1000)
    }

    @Test("A dial that comes while a look-up runs waits for it, and a dial that comes later has its own")
    func shared() {
        var machine = Harness()
        let first = machine.wanted(Self.six, by: "1")
        #expect(machine.wanted(Self.six, by: "2") == .wait)
        guard case .start(let lookUp) = first else {
            Issue.record("no look-up")
            return
        }
        let answer = ResolvedAddresses(Self.addresses(.v6), validFor: .zero)
        #expect(machine.ended(Self.six, lookUp, .success(answer)).waiters == ["1", "2"])
        #expect(machine.wanted(Self.six, by: "3") != .wait)
        #expect(machine.wanted(Self.six, by: "3") != first)
    }

    @Test("A look-up that takes too long is replaced by the next dial's, and its waiters get the new answer")
    func replaced() {
        var machine = Harness(limits: Machine.Limits(longestLookUp: .seconds(10)))
        guard case .start(let first) = machine.wanted(Self.six, by: "1") else {
            Issue.record("no look-up")
            return
        }
        machine.now = .after(.milliseconds(9_999))
        #expect(machine.wanted(Self.six, by: "2") == .wait)
        machine.now = .after(.seconds(10))
        guard case .restart(let second, first) = machine.wanted(Self.six, by: "3") else {
            Issue.record("no second look-up")
            return
        }
        #expect(machine.wanted(Self.six, by: "4") == .wait)
        let answer = ResolvedAddresses(Self.addresses(.v6), validFor: .seconds(1))
        #expect(machine.ended(Self.six, first, .failure(Self.failure)).waiters == [])
        #expect(machine.ended(Self.six, second, .success(answer)).waiters == ["1", "2", "3", "4"])
    }

    @Test("The machine makes exactly the transitions of its table")
    func table() throws {
        var made: Set<Transition> = []
        for state in [Machine.AnswerState.absent, .fresh, .stale, .denied] {
            for input in Transition.AnswerInput.allCases {
                if let transition = Transition.made(in: state, input) { made.insert(transition) }
            }
        }
        for isRunning in [false, true] {
            for input in Transition.LookUpInput.allCases {
                if let transition = Transition.made(isRunning: isRunning, input) { made.insert(transition) }
            }
        }
        let documented = try Transition.documented()
        #expect(made.subtracting(documented).map(\.description).sorted() == [])
        #expect(documented.subtracting(made).map(\.description).sorted() == [])
    }

    static func addresses(_ family: IPAddress.Family) -> [IPAddress] {
        (family == .v4 ? ["192.0.2.1", "192.0.2.2"] : ["2001:db8::1", "2001:db8::2"]).compactMap { IPAddress($0) }
    }
}

extension MonotonicInstant {
    fileprivate static func after(_ duration: Duration) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: 0).advanced(by: duration)
    }
}

/// The machine with its time, and look-ups that end at once.
private struct Harness: ~Copyable {
    typealias Machine = AddressCacheMachineTests.Machine

    private var machine: Machine
    var now = MonotonicInstant(nanoseconds: 0)

    init(limits: Machine.Limits = Machine.Limits()) {
        machine = Machine(limits: limits)
    }

    func state(of query: NameQuery) -> Machine.AnswerState { machine.state(of: query, now: now) }

    mutating func cached(_ query: NameQuery) -> [IPAddress]? { machine.cached(query, now: now) }

    mutating func expire(_ host: String) { machine.expire(host, now: now) }

    mutating func wanted(_ query: NameQuery, by waiter: String) -> Machine.Wanted {
        machine.wanted(query, by: waiter, machine.nextWaiterID(), now: now)
    }

    /// Like `wanted`, with the id for `forgotten`.
    mutating func wantedWithID(_ query: NameQuery) -> (Machine.Wanted, Machine.WaiterID) {
        let id = machine.nextWaiterID()
        return (machine.wanted(query, by: "waiter", id, now: now), id)
    }

    mutating func forgotten(_ query: NameQuery, _ id: Machine.WaiterID) -> Machine.Forgotten {
        machine.forgotten(query, id)
    }

    mutating func ended(
        _ query: NameQuery, _ lookUp: Machine.LookUpID, _ answer: Result<ResolvedAddresses, NameLookupError>
    ) -> Machine.Ended {
        machine.lookUpEnded(query, lookUp, answer, now: now)
    }

    /// Makes one look-up. Returns what its waiter gets; nil: the answer was known already.
    @discardableResult
    mutating func look(
        up query: NameQuery, _ answer: Result<ResolvedAddresses, NameLookupError>
    ) -> Result<[IPAddress], NameLookupError>? {
        guard case .start(let lookUp) = wanted(query, by: "waiter") else { return nil }
        return ended(query, lookUp, answer).result
    }
}

/// One row of the tables in the machine's documentation.
private struct Transition: Hashable, CustomStringConvertible {
    enum AnswerInput: String, CaseIterable {
        case cached, resolved, noSuchHost, failed, expire, validityEnded, stalenessEnded
    }

    enum LookUpInput: String, CaseIterable {
        case wanted, wantedLate, left, lastLeft, ended
    }

    let state: String
    let input: String
    let result: String
    let next: String

    var description: String { "\(state) | \(input) | \(result) | \(next)" }

    static func documented() throws -> Set<Transition> {
        let here = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let path = "Sources/BowlineTransport/Dial/Resolve/AddressCacheStateMachine.swift"
        let source = try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
        let rows = source.split(separator: "\n").filter { $0.hasPrefix("/// | ") }.map { row in
            row.dropFirst("/// |".count).split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
        return Set(
            rows.filter { $0.count == 4 && $0[1] != "input" }.map {
                Transition(state: $0[0], input: $0[1], result: $0[2], next: $0[3])
            })
    }

    /// Brings the answer for one family into a state, and gives the machine one input, while the other family has fresh
    /// addresses. nil: the input cannot happen, because no look-up runs.
    static func made(in state: Harness.Machine.AnswerState, _ input: AnswerInput) -> Transition? {
        typealias Tests = AddressCacheMachineTests
        var machine = Harness()
        let answer = ResolvedAddresses(Tests.addresses(.v6), validFor: .seconds(30))
        switch state {
        case .absent: break
        case .fresh, .stale: machine.look(up: Tests.six, .success(answer))
        case .denied: machine.look(up: Tests.six, .failure(NameLookupError(.noSuchHost)))
        }
        if state == .stale { machine.now = .after(.seconds(30)) }
        var running: Harness.Machine.LookUpID?
        if [.resolved, .noSuchHost, .failed].contains(input) {
            guard case .start(let lookUp) = machine.wanted(Tests.six, by: "waiter") else { return nil }
            running = lookUp
        }
        machine.look(
            up: Tests.four, .success(ResolvedAddresses(Tests.addresses(.v4), validFor: .seconds(86_400))))
        #expect(machine.state(of: Tests.six) == state)

        var result = "nothing"
        func written(_ addresses: [IPAddress]) -> String { addresses.isEmpty ? "empty" : "addresses" }
        switch input {
        case .cached: if let addresses = machine.cached(Tests.six) { result = written(addresses) }
        case .expire: machine.expire("a.test")
        case .validityEnded: machine.now = machine.now.advanced(by: .seconds(30))
        case .stalenessEnded: machine.now = machine.now.advanced(by: .seconds(30) + Tests.hour)
        case .resolved, .noSuchHost, .failed:
            let answers: [AnswerInput: Result<ResolvedAddresses, NameLookupError>] = [
                .resolved: .success(answer), .noSuchHost: .failure(NameLookupError(.noSuchHost)),
                .failed: .failure(Tests.failure),
            ]
            guard let running, let answer = answers[input] else { return nil }
            switch machine.ended(Tests.six, running, answer).result {
            case .success(let addresses): result = written(addresses)
            case .failure: result = "error"
            }
        }
        return Transition(
            state: "\(state)", input: "\(input)", result: result, next: "\(machine.state(of: Tests.six))")
    }

    /// Gives the machine one input of a look-up. nil: the input cannot happen.
    static func made(isRunning: Bool, _ input: LookUpInput) -> Transition? {
        let query = AddressCacheMachineTests.six
        var machine = Harness()
        // The first look-up is cancelled. If one has to run, it is the second.
        let (cancelled, gone) = machine.wantedWithID(query)
        _ = machine.forgotten(query, gone)
        guard case .start(var lookUp) = cancelled else { return nil }
        var waiter = gone
        if isRunning {
            let (wanted, id) = machine.wantedWithID(query)
            guard case .start(let second) = wanted else { return nil }
            (lookUp, waiter) = (second, id)
        }
        var next = isRunning
        var result = "nothing"
        switch input {
        case .wanted:
            next = true
            switch machine.wanted(query, by: "new") {
            case .start: result = "start"
            case .restart: result = "restart"
            case .wait: result = "wait"
            case .found: result = "found"
            }
        case .wantedLate:
            guard isRunning else { return nil }
            machine.now = machine.now.advanced(by: Harness.Machine.Limits().longestLookUp)
            guard case .restart(_, lookUp) = machine.wanted(query, by: "new") else { return nil }
            result = "restart"
        case .left:
            if isRunning { _ = machine.wanted(query, by: "other") }
            if machine.forgotten(query, waiter).cancelled != nil { result = "cancel" }
        case .lastLeft:
            guard isRunning else { return nil }
            next = false
            if machine.forgotten(query, waiter).cancelled == lookUp { result = "cancel" }
        case .ended:
            next = false
            let answer = ResolvedAddresses(AddressCacheMachineTests.addresses(.v6))
            result = machine.ended(query, lookUp, .success(answer)).waiters.isEmpty ? "nobody" : "waiters"
            #expect(machine.state(of: query) == (isRunning ? .fresh : .absent))
        }
        // A look-up runs if a new waiter joins it.
        let joins = machine.state(of: query) == .absent && machine.wanted(query, by: "probe") == .wait
        #expect(joins == next)
        return Transition(
            state: isRunning ? "running" : "none", input: "\(input)", result: result, next: joins ? "running" : "none")
    }
}
