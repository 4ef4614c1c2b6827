import Bowline
import BowlineTesting
import BowlineTransport
import NIOCore
import Testing

#if os(Linux)
    /// Dials to names with several addresses, and from an address of our choice, on the loopback addresses of Linux.
    @Suite("The addresses of a dial", .timeLimit(.minutes(1)))
    struct DialAddressTests {
        /// Answers each look-up with the addresses that the test sets, and counts the look-ups.
        private final class Names: ServiceResolver {
            private struct State {
                var addresses: [IPAddress]
                var count = 0
            }

            private let state: Guarded<State>
            private let validFor: Duration?

            init(_ addresses: [String], validFor: Duration? = nil) {
                state = Guarded(State(addresses: addresses.compactMap { IPAddress($0) }))
                self.validFor = validFor
            }

            /// How many look-ups there were; two for each dial that asks.
            var count: Int { state.withLock { $0.count } }

            func answer(_ addresses: [String]) {
                state.withLock { $0.addresses = addresses.compactMap { IPAddress($0) } }
            }

            func resolve(_ host: String, _ family: IPAddress.Family) async throws -> ResolvedAddresses {
                state.withLock { state in
                    state.count += 1
                    return ResolvedAddresses(state.addresses.filter { $0.family == family }, validFor: validFor)
                }
            }
        }

        /// A client of `http://api.test`, whose clock stands still and whose connections are used once.
        private func withClient(
            _ names: Names, port: Int, clock: TestClock, _ body: (ServiceClient) async throws -> Void
        ) async throws {
            let client = try ServiceClient(baseURL: "http://api.test:\(port)") {
                $0.useOnly(clock)
                $0.proxy = .none
                $0.resolver = names
                $0.pool.isEnabled = false
            }
            try await body(client)
            try await end(client, clock)
        }

        @Test("The server sees the connection come from connection.localAddress")
        func localAddress() async throws {
            let local = try #require(IPAddress("127.0.0.2"))
            try await withLoopbackServer { server in
                server.respond { _ in .reply(200, body: "x") }
                try await Relay.with(on: "127.0.0.1", to: server.port) { relay, port in
                    for address in [nil, local] {
                        try await withServiceClient("http://127.0.0.1:\(port)") {
                            $0.connection.localAddress = address
                        } _: { client in
                            let response = try await client.fetch("/")
                            #expect(response.text == "x")
                        }
                    }
                    #expect(relay.peers == ["127.0.0.1", "127.0.0.2"])
                }
            }
        }

        @Test("A server of the other family cannot be reached from connection.localAddress, and the error says so")
        func otherFamily() async throws {
            try await withLoopbackServer(.ipv6) { server in
                try await withServiceClient(server.baseURL) {
                    $0.connection.localAddress = IPAddress("127.0.0.2")
                    $0.retry = .never
                } _: { client in
                    let error = try await serviceError { _ = try await client.fetch("/") }
                    #expect(error.code == .connectFailed)
                    #expect(
                        error.message.contains(
                            "connection.localAddress (127.0.0.2) and the host's addresses are of different families"))
                    #expect(error.progress == .neverSent)
                }
                #expect(server.connections.isEmpty)
            }
        }

        @Test("If the first address refuses, the second one answers at once; the refusing one goes last for 60 s")
        func refusedFirst() async throws {
            let clock = TestClock()
            try await withLoopbackServer { server in
                server.respond { _ in .reply(200, body: "x") }
                let port = server.port
                let names = Names(["127.0.0.2", "127.0.0.1"])
                try await withClient(names, port: port, clock: clock) { client in
                    let first = try await client.fetch("/").response
                    #expect(first.connection?.peer == "127.0.0.1:\(port)")
                    #expect(first.timings.connect == .zero)
                    // It has recovered, but the next dial does not try it first.
                    try await Relay.with(on: "127.0.0.2", port: port, to: port) { _, _ in
                        let second = try await client.fetch("/").response
                        #expect(second.connection?.peer == "127.0.0.1:\(port)")
                        clock.advance(by: .seconds(61))
                        let third = try await client.fetch("/").response
                        #expect(third.connection?.peer == "127.0.0.2:\(port)")
                    }
                }
            }
        }

        @Test("An address that swallows packets costs 250 ms when a second one answers, and nothing in the next dial")
        func swallowing() async throws {
            let clock = TestClock()
            try await withLoopbackServer { server in
                server.respond { _ in .reply(200, body: "x") }
                try await withLoopbackServer(.unreachable) { silent in
                    let port = silent.port
                    try await Relay.with(on: "127.0.0.2", port: port, to: server.port) { relay, _ in
                        let names = Names(["127.0.0.1", "127.0.0.2"], validFor: .seconds(600))
                        try await withClient(names, port: port, clock: clock) { client in
                            let task = Task { try await client.fetch("/").response }
                            let attempt = MonotonicInstant(nanoseconds: 250_000_000)
                            try await eventually("the timer of the next attempt") { clock.nextDeadline == attempt }
                            #expect(relay.peers.isEmpty)
                            clock.advance(to: attempt)
                            let first = try await task.value
                            #expect(first.connection?.peer == "127.0.0.2:\(port)")
                            #expect(first.timings.connect == .milliseconds(250))
                            let second = try await client.fetch("/").response
                            #expect(second.connection?.peer == "127.0.0.2:\(port)")
                            #expect(second.timings.connect == .zero)
                        }
                        #expect(relay.peers.count == 2)
                    }
                }
            }
        }

        @Test(
            "If the limit of a dial passes while an address swallows packets, the next dial asks for the addresses again, and tries it last",
            arguments: [Duration.zero, .seconds(600)])
        func timedOut(validity: Duration) async throws {
            let clock = TestClock()
            try await withLoopbackServer { server in
                server.respond { _ in .reply(200, body: "x") }
                try await withLoopbackServer(.unreachable) { silent in
                    let port = silent.port
                    let names = Names(["127.0.0.1"], validFor: validity)
                    var options = TransportOptions()
                    options.clock = clock
                    options.connectTimeout = .seconds(3)
                    options.proxy = .none
                    options.resolver = names
                    options.pool.isEnabled = false
                    let transport = try PooledTransport(options: options)
                    let client = try ServiceClient(baseURL: "http://api.test:\(port)", transport: transport) {
                        $0.useOnly(clock)
                        $0.timeouts.connect = .seconds(3)
                    }
                    let limit = MonotonicInstant(nanoseconds: 3_000_000_000)
                    let error = try await clock.failure(of: { try await client.fetch("/") }, noLaterThan: limit) {
                        try await eventually("the socket") { transport.openChannels == 1 }
                    }
                    #expect(error.code == .connectTimeout)
                    #expect(error.elapsed == .seconds(3))
                    try await Relay.with(on: "127.0.0.2", port: port, to: server.port) { _, _ in
                        names.answer(["127.0.0.1", "127.0.0.2"])
                        let next = try await client.fetch("/").response
                        #expect(next.connection?.peer == "127.0.0.2:\(port)")
                        #expect(next.timings.connect == .zero)
                    }
                    try await end(client, clock)
                }
            }
        }

        @Test("When every address fails, the next dial asks the resolver again, also while the answer is still valid")
        func expired() async throws {
            let clock = TestClock()
            try await withLoopbackServer { server in
                server.respond { _ in .reply(200, body: "x") }
                let names = Names(["127.0.0.2", "127.0.0.3"], validFor: .seconds(600))
                try await withClient(names, port: server.port, clock: clock) { client in
                    for number in 1...2 {
                        let error = try await serviceError { _ = try await client.fetch("/") }
                        #expect(error.code == .connectionRefused)
                        #expect(error.message.contains("127.0.0.2"))
                        #expect(error.message.contains("127.0.0.3"))
                        #expect(names.count == 2 * number)
                    }
                    // The service has moved.
                    names.answer(["127.0.0.1"])
                    let response = try await client.fetch("/")
                    #expect(response.text == "x")
                    #expect(names.count == 6)
                    let again = try await client.fetch("/")
                    #expect(again.text == "x")
                    #expect(names.count == 6)
                }
            }
        }

        @Test("Both families are tried: if nothing listens on ::1, 127.0.0.1 answers")
        func families() async throws {
            let clock = TestClock()
            try await withLoopbackServer { server in
                server.respond { _ in .reply(200, body: "x") }
                let names = Names(["::1", "127.0.0.1"])
                try await withClient(names, port: server.port, clock: clock) { client in
                    let response = try await client.fetch("/").response
                    #expect(response.connection?.peer == "127.0.0.1:\(server.port)")
                    #expect(response.timings.connect == .zero)
                }
            }
        }
    }
#endif
