import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineTransport

/// The addresses that a transport lists for a balancer, with scripted resolvers and a clock of the test.
@Suite("The addresses of a host", .timeLimit(.minutes(1)))
struct HostAddressesTests {
    private let six = NameQuery("a.test", .v6)
    private let four = NameQuery("a.test", .v4)
    private let names = ScriptedNames()
    private let clock = TestClock()
    private let origin: Origin

    init() throws {
        origin = try ServiceURL("http://a.test").origin
    }

    private func makeTransport(_ configure: (inout TransportOptions) -> Void = { _ in }) throws -> PooledTransport {
        var options = TransportOptions()
        options.proxy = .none
        options.resolver = names
        options.clock = clock
        options.variable = { _ in nil }
        configure(&options)
        return try PooledTransport(options: options)
    }

    private func answer(_ six: [String], _ four: [String], validFor: Duration? = nil) {
        names.answer(self.six, six, validFor: validFor)
        names.answer(self.four, four, validFor: validFor)
    }

    private func known(_ transport: PooledTransport) -> [String]? {
        guard case .known(let addresses) = transport.knownAddresses(of: origin, now: clock.now) else { return nil }
        return addresses.map(\.description)
    }

    @Test("The list has the addresses of IPv6, then those of IPv4, each once, in the resolver's order")
    func order() async throws {
        answer(["2001:db8::2", "2001:db8::1"], ["192.0.2.9", "192.0.2.1", "192.0.2.9"])
        let transport = try makeTransport()
        #expect(transport.knownAddresses(of: origin, now: clock.now) == .unknown)
        let addresses = try await transport.addresses(of: origin, deadline: nil)
        let expected = ["2001:db8::2", "2001:db8::1", "192.0.2.9", "192.0.2.1"]
        #expect(addresses?.map(\.description) == expected)
        #expect(known(transport) == expected)
        // Another port of the same host needs no other look-up.
        let other = try ServiceURL("https://a.test:8443").origin
        #expect(transport.knownAddresses(of: other, now: clock.now) == .known(addresses ?? []))
        #expect(names.calls.count == 2)
        await transport.close()
    }

    @Test("When the answers are no longer valid, the old list stays known until the new one is there")
    func renewal() async throws {
        answer([], ["192.0.2.1"], validFor: .seconds(10))
        let transport = try makeTransport()
        _ = try await transport.addresses(of: origin, deadline: nil)
        clock.advance(by: .seconds(10))
        names.hold(six)
        names.hold(four)
        for _ in 1...3 { #expect(known(transport) == ["192.0.2.1"]) }
        try await eventually("one look-up of each family") { names.calls.count == 4 }
        names.answer(four, ["192.0.2.2"])
        #expect(known(transport) == ["192.0.2.1"], "the other family has not answered")
        names.answer(six, [])
        try await eventually("the new list") { known(transport) == ["192.0.2.2"] }
        #expect(names.calls.count == 4)
        await transport.close()
    }

    @Test("A family that gets no answer in the renewal keeps its addresses, and is asked again after 5 s")
    func lateFamily() async throws {
        answer(["2001:db8::1"], ["192.0.2.1"], validFor: .seconds(10))
        let transport = try makeTransport { $0.connectTimeout = .seconds(3) }
        _ = try await transport.addresses(of: origin, deadline: nil)
        clock.advance(by: .seconds(10))
        names.hold(six)
        names.answer(four, ["192.0.2.2"], validFor: .seconds(100))
        #expect(known(transport) == ["2001:db8::1", "192.0.2.1"])
        try await eventually("the limit of the look-up, and the answer") {
            clock.nextDeadline == .at(13) && names.calls.count == 4
                && transport.environment.addresses.cached(origin.host, .v4)?.map(\.description) == ["192.0.2.2"]
        }
        clock.advance(to: .at(13))
        try await eventually("the new list") { known(transport) == ["2001:db8::1", "192.0.2.2"] }
        try await eventually("the look-up is cancelled") { names.cancelled == [six] }
        clock.advance(to: .at(17))
        #expect(known(transport) == ["2001:db8::1", "192.0.2.2"])
        #expect(names.calls.count == 4)
        names.answer(six, ["2001:db8::2"])
        clock.advance(to: .at(18))
        try await eventually("the late family's answer") { known(transport) == ["2001:db8::2", "192.0.2.2"] }
        await transport.close()
    }

    @Test("While the resolver fails the list stays; when it says that there is no such host, the list goes")
    func failures() async throws {
        answer([], ["192.0.2.1"], validFor: .seconds(10))
        let transport = try makeTransport()
        _ = try await transport.addresses(of: origin, deadline: nil)
        names.answer(six, .failure(NameLookupError(.temporary)))
        names.answer(four, .failure(NameLookupError(.temporary)))
        clock.advance(by: .seconds(10))
        #expect(known(transport) == ["192.0.2.1"])
        try await eventually("the failed look-up") { names.calls.count == 4 && clock.sleeperCount == 0 }
        #expect(known(transport) == ["192.0.2.1"])

        names.answer(six, .failure(NameLookupError(.noSuchHost)))
        names.answer(four, .failure(NameLookupError(.noSuchHost)))
        try await eventually("the list goes") {
            clock.advance(by: .seconds(5))
            return known(transport) == nil
        }
        let error = await #expect(throws: ServiceError.self) {
            try await transport.addresses(of: origin, deadline: nil)
        }
        #expect(error?.code == .nameResolutionFailed)
        #expect(error?.progress == .neverSent)
        #expect(error?.origin == origin.description)
        #expect((error?.underlying as? NameLookupError)?.reason == .noSuchHost)
        await transport.close()
    }

    @Test("A host without addresses fails as in a dial, and no list is kept")
    func noAddress() async throws {
        answer([], [])
        let transport = try makeTransport()
        let error = await #expect(throws: ServiceError.self) {
            try await transport.addresses(of: origin, deadline: nil)
        }
        #expect(error?.code == .nameResolutionFailed)
        #expect((error?.underlying as? NameLookupError)?.reason == .noAddress)
        #expect(transport.knownAddresses(of: origin, now: clock.now) == .unknown)
        await transport.close()
    }

    @Test("The first look-up waits 50 ms for the other family once one has addresses")
    func delay() async throws {
        let transport = try makeTransport()
        let (origin, clock) = (origin, clock)
        let listed = Task { try await transport.addresses(of: origin, deadline: nil) }
        try await eventually("both families are asked") { names.calls.count == 2 }
        names.answer(four, ["192.0.2.1"], validFor: .seconds(100))
        try await eventually("the delay") { clock.nextDeadline == MonotonicInstant(nanoseconds: 50_000_000) }
        clock.advance(by: .milliseconds(50))
        let addresses = try await listed.value
        #expect(addresses?.map(\.description) == ["192.0.2.1"])
        #expect(names.cancelled.isEmpty, "the other look-up goes on")
        names.answer(six, ["2001:db8::1"], validFor: .seconds(100))
        clock.advance(by: .seconds(5))
        try await eventually("the late answer counts") { known(transport) == ["2001:db8::1", "192.0.2.1"] }
        #expect(names.calls.count == 2)
        await transport.close()
    }

    @Test("The wait ends at timeouts.connect or at the deadline, whichever comes first", arguments: [(3, 9), (9, 3)])
    func limits(connect: Int, deadline: Int) async throws {
        let transport = try makeTransport { $0.connectTimeout = .seconds(connect) }
        let origin = origin
        let listed = Task { try await transport.addresses(of: origin, deadline: Deadline(.at(deadline))) }
        try await eventually("the look-up") { names.calls.count == 2 && clock.nextDeadline == .at(3) }
        clock.advance(to: .at(3))
        let error = await #expect(throws: ServiceError.self) { try await listed.value }
        #expect(error?.code == (connect == 3 ? .connectTimeout : .deadlineExceeded))
        #expect(error?.progress == .neverSent)
        try await eventually("the look-ups are cancelled") { names.cancelled.count == 2 }
        let late = await #expect(throws: ServiceError.self) {
            try await transport.addresses(of: origin, deadline: Deadline(.at(2)))
        }
        #expect(late?.code == .deadlineExceeded)
        #expect(names.calls.count == 2, "nothing is asked after the deadline")
        await transport.close()
    }

    @Test("A cancelled wait ends at once, and cancels the look-ups")
    func cancelled() async throws {
        let transport = try makeTransport()
        let origin = origin
        let listed = Task { try await transport.addresses(of: origin, deadline: nil) }
        try await eventually("the look-up") { names.calls.count == 2 }
        listed.cancel()
        await #expect(throws: CancellationError.self) { try await listed.value }
        try await eventually("the look-ups are cancelled") { names.cancelled.count == 2 }
        try await eventually("no timer is left") { clock.sleeperCount == 0 }
        await transport.close()
    }

    @Test("100 waits for one host make one look-up of each family")
    func shared() async throws {
        let transport = try makeTransport()
        let (origin, names) = (origin, names)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<100 {
                group.addTask { try await transport.addresses(of: origin, deadline: nil)?.count ?? 0 }
            }
            try await eventually("all wait") { transport.environment.addresses.counts == (2, 200) }
            names.answer(NameQuery("a.test", .v6), ["2001:db8::1"])
            names.answer(NameQuery("a.test", .v4), ["192.0.2.1"])
            for try await count in group { #expect(count == 2) }
        }
        #expect(names.calls.count == 2)
        await transport.close()
    }

    @Test("After a failed dial to one of the addresses the host is looked up again, at most once in 5 s")
    func failedDial() async throws {
        answer([], ["192.0.2.1"], validFor: .seconds(600))
        let transport = try makeTransport()
        _ = try await transport.addresses(of: origin, deadline: nil)
        clock.advance(to: .at(1))
        transport.environment.hosts.dialFailed(origin, now: clock.now)
        answer([], ["192.0.2.2"], validFor: .seconds(600))
        #expect(known(transport) == ["192.0.2.1"])
        #expect(names.calls.count == 2)
        clock.advance(to: .at(5))
        try await eventually("the new list") { known(transport) == ["192.0.2.2"] }
        await transport.close()
    }

    @Test("With connection.localAddress, only addresses of its family are listed")
    func localAddress() async throws {
        answer(["2001:db8::1"], ["192.0.2.1"])
        let transport = try makeTransport { $0.connection.localAddress = IPAddress("127.0.0.1") }
        let addresses = try await transport.addresses(of: origin, deadline: nil)
        #expect(addresses?.map(\.description) == ["192.0.2.1"])
        #expect(names.calls == [four])
        await transport.close()
    }

    @Test(
        "Addresses, localhost and Unix domain sockets cannot choose, and nothing is looked up",
        arguments: [
            "http://192.0.2.1", "http://[2001:db8::1]", "http://localhost", "https://a.localhost:8443",
            "http://localhost.", "http+unix://%2Ftmp%2Fa.sock",
        ])
    func notChoosable(url: String) async throws {
        let transport = try makeTransport()
        let origin = try ServiceURL(url).origin
        #expect(transport.knownAddresses(of: origin, now: clock.now) == .notChoosable)
        #expect(try await transport.addresses(of: origin, deadline: nil) == nil)
        #expect(names.calls.isEmpty)
        await transport.close()
    }

    @Test("Requests that use a proxy cannot choose; those that use none can")
    func proxies() async throws {
        answer([], ["192.0.2.1"])
        names.answer(NameQuery("direct.test", .v6), [])
        names.answer(NameQuery("direct.test", .v4), ["192.0.2.7"])
        let direct = try ServiceURL("http://direct.test").origin
        let proxy = try Proxy("http://proxy.test:3128")
        let choices: [ProxyChoice] = [
            .environment, .custom { $0.origin.host == "direct.test" ? nil : proxy },
            .custom { url in
                if url.origin.host == "direct.test" { return nil }
                throw ServiceError(.invalidConfiguration, "no proxy")
            },
        ]
        for choice in choices {
            let transport = try makeTransport {
                $0.proxy = choice
                $0.variable = { ["http_proxy": "proxy.test:3128", "no_proxy": "direct.test"][$0] }
            }
            #expect(transport.knownAddresses(of: origin, now: clock.now) == .notChoosable)
            #expect(try await transport.addresses(of: origin, deadline: nil) == nil)
            let addresses = try await transport.addresses(of: direct, deadline: nil)
            #expect(addresses?.map(\.description) == ["192.0.2.7"])
            await transport.close()
        }
        #expect(!names.calls.contains { $0.host == "a.test" })
    }

    @Test("Fixed addresses are listed, also those of a host that has only one")
    func fixed() async throws {
        let fixed = ["127.0.0.2", "127.0.0.3"].compactMap { IPAddress($0) }
        let transport = try makeTransport { $0.resolver = FixedAddresses(["A.test": fixed], otherwise: nil) }
        #expect(try await transport.addresses(of: origin, deadline: nil) == fixed)
        #expect(transport.knownAddresses(of: origin, now: clock.now) == .known(fixed))
        await transport.close()
    }
}

extension MonotonicInstant {
    fileprivate static func at(_ seconds: Int) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: Int64(seconds) * 1_000_000_000)
    }
}
