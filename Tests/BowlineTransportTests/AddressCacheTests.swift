import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineTransport

@Suite("Dials share a client's address cache", .timeLimit(.minutes(1)))
struct AddressCacheTests {
    private typealias Names = ScriptedNames

    private struct Broken: Error, CustomStringConvertible {
        let description = "the registry is down"
    }

    private let six = NameQuery("a.test", .v6)
    private let four = NameQuery("a.test", .v4)
    private let clock = TestClock()
    private let names = Names()

    private func cache() -> AddressCache { AddressCache(resolver: names, clock: clock) }

    @Test("100 dials share one call per family, and each family has its own answer")
    func shared() async throws {
        let cache = cache()
        let (six, four, names) = (six, four, names)
        try await withThrowingTaskGroup(of: [IPAddress].self) { group in
            for index in 0..<100 {
                group.addTask { try await cache.resolve("a.test", index % 2 == 0 ? .v4 : .v6) }
            }
            try await eventually("all wait") { cache.counts == (2, 100) }
            names.answer(six, ["2001:db8::1"])
            names.answer(four, ["192.0.2.1"])
            var answers: [String: Int] = [:]
            for try await addresses in group { answers["\(addresses)", default: 0] += 1 }
            #expect(answers == ["[2001:db8::1]": 50, "[192.0.2.1]": 50])
        }
        #expect(names.calls.count == 2)
        #expect(cache.counts == (0, 0))
    }

    @Test("A kept answer needs no call, until its validity is over")
    func kept() async throws {
        let cache = cache()
        names.answer(six, ["2001:db8::1"], validFor: .seconds(10))
        #expect(cache.cached("a.test", .v6) == nil)
        for _ in 1...3 { #expect(try await cache.resolve("a.test", .v6).count == 1) }
        #expect(cache.cached("a.test", .v6)?.map(\.description) == ["2001:db8::1"])
        #expect(names.calls.count == 1)

        clock.advance(by: .seconds(10))
        names.answer(six, ["2001:db8::2"])
        #expect(cache.cached("a.test", .v6) == nil)
        #expect(try await cache.resolve("a.test", .v6).map(\.description) == ["2001:db8::2"])
        #expect(names.calls.count == 2)
    }

    @Test("The last dial that leaves cancels the call, and the others do not")
    func lastLeaves() async throws {
        let cache = cache()
        let dials = (0..<3).map { _ in Task { try await cache.resolve("a.test", .v6) } }
        try await eventually("all wait") { cache.counts == (1, 3) && names.calls.count == 1 }
        for dial in dials.dropLast() {
            dial.cancel()
            await #expect(throws: CancellationError.self) { _ = try await dial.value }
        }
        #expect(names.cancelled.isEmpty)
        dials[2].cancel()
        await #expect(throws: CancellationError.self) { _ = try await dials[2].value }
        try await eventually("the call is cancelled") { names.cancelled == [six] }
        #expect(cache.counts == (0, 0))
    }

    @Test(
        "A call that no dial waits for goes on for a second: an answer until then is kept, and then the call is cancelled"
    )
    func endsSoon() async throws {
        let cache = cache()
        func leave(_ query: NameQuery) async throws -> Task<Void, Never> {
            let calls = names.calls.count
            let lookUp = Task { _ = try? await cache.resolve(query.host, query.family) }
            try await eventually("the call runs") { names.calls.count == calls + 1 }
            cache.endSoon([lookUp])
            return lookUp
        }
        let answered = try await leave(six)
        clock.advance(by: .milliseconds(999))
        names.answer(six, ["2001:db8::1"])
        await answered.value
        #expect(cache.cached("a.test", .v6)?.map(\.description) == ["2001:db8::1"])
        try await eventually("nothing waits for the clock") { clock.sleeperCount == 0 }

        let hanging = try await leave(four)
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(1))
        await hanging.value
        try await eventually("the call is cancelled") { names.cancelled == [four] }
        #expect(cache.counts == (0, 0))
    }

    @Test("A dial does not wait for a call that ignores its cancellation, and a new dial makes its own call")
    func ignoredCancellation() async throws {
        let names = Names(ignoresCancellation: true)
        let cache = AddressCache(resolver: names, clock: clock)
        let first = Task { try await cache.resolve("a.test", .v6) }
        try await eventually("the call runs") { names.calls.count == 1 }
        first.cancel()
        await #expect(throws: CancellationError.self) { _ = try await first.value }

        let second = Task { try await cache.resolve("a.test", .v6) }
        try await eventually("another call runs") { names.calls.count == 2 }
        names.answer(six, ["2001:db8::1"])
        #expect(try await second.value.map(\.description) == ["2001:db8::1"])
    }

    @Test("A dial that comes when a call has taken too long makes another call, and both dials get its answer")
    func replacedCall() async throws {
        let names = Names(ignoresCancellation: true)
        let cache = AddressCache(resolver: names, clock: clock, longestLookUp: .seconds(10))
        let first = Task { try await cache.resolve("a.test", .v6) }
        try await eventually("the call runs") { names.calls.count == 1 }
        clock.advance(by: .seconds(10))
        let second = Task { try await cache.resolve("a.test", .v6) }
        try await eventually("another call runs") { names.calls.count == 2 }
        #expect(cache.counts == (1, 2))
        names.answer(six, ["2001:db8::1"])
        for dial in [first, second] { #expect(try await dial.value.map(\.description) == ["2001:db8::1"]) }
    }

    @Test("After the client is closed, no call starts")
    func closed() async {
        let cache = cache()
        cache.cancelAll()
        await #expect(throws: CancellationError.self) { _ = try await cache.resolve("a.test", .v6) }
        #expect(names.calls.isEmpty)
    }

    @Test("A task that is cancelled already makes no call")
    func cancelledBefore() async {
        let cache = cache()
        let dial = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await cache.resolve("a.test", .v6)
        }
        await #expect(throws: CancellationError.self) { _ = try await dial.value }
        #expect(names.calls.isEmpty)
    }

    @Test("While the resolver fails, dials get the old answer; after noSuchHost they do not")
    func stale() async throws {
        let cache = cache()
        names.answer(six, ["2001:db8::1"])
        _ = try await cache.resolve("a.test", .v6)
        clock.advance(by: .seconds(30))
        names.answer(six, .failure(Broken()))
        for _ in 1...2 {
            #expect(try await cache.resolve("a.test", .v6).map(\.description) == ["2001:db8::1"])
        }
        #expect(names.calls.count == 3)
        for error in [NameLookupError(.noSuchHost), NameLookupError(.temporary)] {
            names.answer(six, .failure(error))
            await #expect(throws: error) { _ = try await cache.resolve("a.test", .v6) }
        }
    }

    @Test("An error of another type is a NameLookupError with its description")
    func otherError() async {
        let cache = cache()
        names.answer(six, .failure(Broken()))
        await #expect(throws: NameLookupError(.other, "the registry is down")) {
            _ = try await cache.resolve("a.test", .v6)
        }
    }

    @Test("After expire the next dial asks again, and gets the old answer only if the resolver fails")
    func expire() async throws {
        let cache = cache()
        names.answer(six, ["2001:db8::1"])
        names.answer(four, ["192.0.2.1"])
        _ = try await cache.resolve("a.test", .v6)
        _ = try await cache.resolve("a.test", .v4)
        cache.expire("a.test")
        #expect(cache.cached("a.test", .v6) == nil)
        #expect(cache.cached("a.test", .v4) == nil)
        names.answer(six, ["2001:db8::2"])
        names.answer(four, .failure(NameLookupError(.temporary)))
        #expect(try await cache.resolve("a.test", .v6).map(\.description) == ["2001:db8::2"])
        #expect(try await cache.resolve("a.test", .v4).map(\.description) == ["192.0.2.1"])
    }

    @Test(
        "localhost is this machine, and the resolver is not asked (RFC 6761)",
        arguments: ["localhost", "localhost.", "a.localhost", "a.b.localhost."])
    func localhost(host: String) async throws {
        let cache = cache()
        for (family, address) in [(IPAddress.Family.v6, "::1"), (.v4, "127.0.0.1")] {
            #expect(cache.cached(host, family)?.map(\.description) == [address])
            #expect(try await cache.resolve(host, family).map(\.description) == [address])
        }
        #expect(names.calls.isEmpty)
    }

    @Test(
        "Names that only resemble localhost are looked up",
        arguments: ["localhost.test", "alocalhost", "localhost..", "localhostx"])
    func notLocalhost(host: String) async throws {
        let cache = cache()
        names.answer(NameQuery(host, .v4), ["192.0.2.1"])
        #expect(cache.cached(host, .v4) == nil)
        #expect(try await cache.resolve(host, .v4).map(\.description) == ["192.0.2.1"])
    }

    @Test("Calls, answers and cancellations at the same time lose no dial", arguments: 1...4 as ClosedRange<UInt64>)
    func storm(seed: UInt64) async throws {
        let cache = cache()
        let names = names
        var random = SeededRandom(seed: seed)
        let queries = (0..<3).flatMap { [NameQuery("host\($0)", .v4), NameQuery("host\($0)", .v6)] }
        var dials: [Task<[IPAddress], any Error>] = []
        for _ in 0..<500 {
            let query = queries[random.next(in: 0..<queries.count)]
            switch random.next(in: 0..<6) {
            case 0: names.answer(query, query.family == .v4 ? ["192.0.2.1"] : ["2001:db8::1"], validFor: .zero)
            case 1: names.hold(query)
            case 2 where !dials.isEmpty: dials[random.next(in: 0..<dials.count)].cancel()
            case 3: cache.expire(query.host)
            default: dials.append(Task { try await cache.resolve(query.host, query.family) })
            }
        }
        for query in queries { names.answer(query, query.family == .v4 ? ["192.0.2.1"] : ["2001:db8::1"]) }
        for dial in dials {
            switch await dial.result {
            case .success(let addresses): #expect(addresses.count == 1, "seed \(seed)")
            case .failure(let error): #expect(error is CancellationError, "seed \(seed): \(error)")
            }
        }
        try await eventually("no look-up is left") { cache.counts == (0, 0) }
    }
}
