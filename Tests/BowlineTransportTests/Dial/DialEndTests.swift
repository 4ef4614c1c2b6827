import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineTransport

/// How a dial ends at each of its steps: once, and without a channel that stays open.
@Suite("The end of a dial", .timeLimit(.minutes(1)))
struct DialEndTests {
    /// Keeps the events of a connection, and cancels the dial in one of them.
    private final class Events: ServiceEventListener {
        private let kept = Guarded<[String]>([])
        private let dial = Guarded<Dial?>(nil)
        private let end: String?

        init(cancellingAt end: String?) {
            self.end = end
        }

        var all: [String] { kept.withLock { $0 } }

        func cancels(_ dial: Dial) {
            self.dial.withLock { $0 = dial }
        }

        private func note(_ name: String) {
            kept.withLock { $0.append(name) }
            guard name == end else { return }
            dial.withLock { $0 }?.cancel()
        }

        func connectionResolved(_ event: ConnectionEvent) { note("resolved") }
        func connectionConnected(_ event: ConnectionEvent) { note("connected") }
        func connectionTunnelled(_ event: ConnectionEvent) { note("tunnelled") }
        func connectionSecured(_ event: ConnectionEvent) { note("secured") }
    }

    static let steps = ["resolved", "connected", "tunnelled", "secured"]

    /// Dials, and returns how the dial ended. The channel of a successful dial is closed.
    private func dial(_ route: Route, _ environment: TransportEnvironment, _ events: Events) async throws -> String {
        let (ends, log) = AsyncStream<String>.makeStream()
        let dispatch = EventDispatch([events], clock: environment.clock)
        let dial = Dial(
            DialPlan(route, environment: environment), environment: environment,
            sweep: environment.loops.sweep(affinity: 0),
            events: ConnectionEvents(dispatch, id: ConnectionID(1), origin: route.origin)
        ) { result in
            switch result {
            case .success(let dialled):
                log.yield("success")
                dialled.channel.close(promise: nil)
            case .failure(let failure): log.yield("\(failure.cause)")
            }
        }
        events.cancels(dial)
        dial.start()
        var iterator = ends.makeAsyncIterator()
        return try #require(await iterator.next())
    }

    private func makeTransport() throws -> PooledTransport {
        var options = TransportOptions()
        options.tls.trustRoots = .pem(TestCertificates.authority)
        options.resolver = FixedAddresses(["api.test": [try #require(IPAddress("127.0.0.1"))]], otherwise: nil)
        options.proxy = .https("https://api.test")
        return try PooledTransport(options: options)
    }

    @Test(
        "A dial that is cancelled in the event of a step ends with this step, and leaves no channel",
        arguments: steps)
    func cancelledInEvent(step: String) async throws {
        let transport = try makeTransport()
        let environment = transport.environment
        try await withLoopbackServer(.tls()) { server in
            // Answers CONNECT within TLS: the proxy is also the origin, and gets a handshake within the first one.
            server.onConnection { connection in
                _ = try await connection.readRequestHead()
                try await connection.send("HTTP/1.1 200 OK\r\n\r\n")
                try await connection.waitForClose()
            }
            let hasTunnel = step != "secured"
            let proxy = try Proxy("https://localhost:\(server.port)")
            let origin = try ServiceURL(hasTunnel ? "https://api.test" : "https://localhost:\(server.port)").origin
            let events = Events(cancellingAt: step)
            let end = try await dial(Route(origin, proxy: hasTunnel ? proxy : nil), environment, events)
            #expect(end == "cancelled")
            let expected = hasTunnel ? Self.steps : Self.steps.filter { $0 != "tunnelled" }
            #expect(events.all == Array(expected.prefix { $0 != step } + [step]))
            try await eventually("no channel") { environment.census.open == 0 }
        }
        await transport.close()
    }

    @Test("A dial to a chosen address looks up no name, and connects to this address")
    func chosenAddress() async throws {
        let transport = try makeTransport()
        try await withLoopbackServer { server in
            // The resolver does not know the name.
            let origin = try ServiceURL("http://absent.test:\(server.port)").origin
            let address = try #require(IPAddress("127.0.0.1"))
            let events = Events(cancellingAt: nil)
            let end = try await dial(Route(origin, address: address), transport.environment, events)
            #expect(end == "success")
            #expect(events.all == ["connected"])
            #expect(transport.environment.addresses.counts == (0, 0))
        }
        await transport.close()
    }

    @Test("A dial to a chosen address that fails counts as a failure of this address")
    func failedAddress() async throws {
        let transport = try makeTransport()
        let environment = transport.environment
        let port = try await withLoopbackServer { $0.port }
        let origin = try ServiceURL("http://absent.test:\(port)").origin
        let addresses = ["127.0.0.1", "127.0.0.2"].compactMap { IPAddress($0) }
        let end = try await dial(Route(origin, address: addresses[0]), environment, Events(cancellingAt: nil))
        #expect(end.contains("ConnectFailure"))
        let (ordered, failed) = environment.addressHistory.ordered(addresses, now: environment.clock.now)
        #expect(ordered == addresses.reversed())
        #expect(failed == 1)
        await transport.close()
    }

    @Test("A dial that is cancelled before its start opens nothing")
    func cancelledBeforeStart() async throws {
        let transport = try makeTransport()
        let environment = transport.environment
        let (ends, log) = AsyncStream<String>.makeStream()
        let dial = Dial(
            DialPlan(Route(try ServiceURL("http://api.test").origin), environment: environment),
            environment: environment, sweep: environment.loops.sweep(affinity: 0), events: nil
        ) { result in
            if case .failure(let failure) = result { log.yield("\(failure.cause)") }
        }
        dial.cancel()
        dial.start()
        var iterator = ends.makeAsyncIterator()
        #expect(await iterator.next() == "cancelled")
        #expect(environment.census.open == 0)
        await transport.close()
    }

    @Test("The failure of a dial names the step that failed")
    func failedSteps() async throws {
        let transport = try makeTransport()
        let environment = transport.environment
        try await withLoopbackServer { server in
            // It is neither a proxy nor a TLS server.
            server.onConnection { connection in
                _ = try await connection.read()
                try await connection.send("nonsense\r\n\r\n")
                try await connection.waitForClose()
            }
            let proxy = try Proxy("http://127.0.0.1:\(server.port)")
            let rows: [(url: String, proxy: Proxy?, step: DialStep)] = [
                ("http://absent.test", nil, .resolve), ("https://api.test", proxy, .tunnel),
                ("https://127.0.0.1:\(server.port)", nil, .secure),
            ]
            for row in rows {
                let route = Route(try ServiceURL(row.url).origin, proxy: row.proxy)
                let step = await withCheckedContinuation { (waiter: CheckedContinuation<DialStep?, Never>) in
                    Dial(
                        DialPlan(route, environment: environment), environment: environment,
                        sweep: environment.loops.sweep(affinity: 0), events: nil
                    ) { result in
                        if case .failure(let failure) = result {
                            waiter.resume(returning: failure.step)
                        } else {
                            waiter.resume(returning: nil)
                        }
                    }
                    .start()
                }
                #expect(step == row.step, "\(row.url)")
                try await eventually("no channel") { environment.census.open == 0 }
            }
        }
        await transport.close()
    }
}
