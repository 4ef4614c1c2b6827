import Bowline
import BowlineTesting
import NIOCore
import Testing

/// The events that listeners get, and their order, over real sockets.
@Suite("Events", .timeLimit(.minutes(1)))
struct EventTests {
    private static let exchange = ["head sent", "body sent", "first byte", "head 200", "body end"]
    private static let dial = ["queued", "dialling #1", "connected #1", "established #1", "dequeued", "leased"]

    private let events = RecordedEvents()

    private func withClient(
        _ options: LoopbackServer.Options = .init(),
        configure: @escaping @Sendable (inout ClientConfiguration) -> Void = { _ in },
        _ body: (ServiceClient, LoopbackServer) async throws -> Void
    ) async throws {
        try await withLoopbackServer(options) { server in
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.tls.trustRoots = .pem(TestCertificates.authority)
                $0.retry.maximumAttempts = 1
                $0.telemetry.events = [events]
                configure(&$0)
            }
            try await body(client, server)
            await client.shutdown()
        }
    }

    @Test("Events come in order: a request on a new connection, one on a reused connection, the connection's end")
    func freshAndReused() async throws {
        try await withClient { client, server in
            server.respond { _ in .reply(200, body: "x") }
            _ = try await client.fetch("/")
            #expect(events.texts == Self.dial + Self.exchange + ["released #1"])
            events.reset()
            _ = try await client.fetch("/")
            #expect(events.texts == ["leased again"] + Self.exchange + ["released #1"])
            events.reset()
            await client.shutdown()
            #expect(events.texts == ["closed shutdown #1"])
        }
    }

    @Test("A name's first address comes before the socket; TLS comes between the socket and the connection")
    func encrypted() async throws {
        try await withClient(.tls()) { client, server in
            server.respond { _ in .reply(200, body: "x") }
            _ = try await client.fetch("/")
            let dial = ["dialling #1", "resolved #1", "connected #1", "secured #1", "established #1"]
            #expect(events.texts == ["queued"] + dial + ["dequeued", "leased"] + Self.exchange + ["released #1"])
        }
    }

    @Test("Events name their call, attempt, origin and connection, and their time on the client's clock")
    func facts() async throws {
        let clock = TestClock(start: MonotonicInstant(nanoseconds: 7_000))
        try await withClient {
            $0.clock = clock
        } _: { client, server in
            server.respond { _ in .reply(200, body: "x") }
            for number in 1...2 {
                events.reset()
                var request = ServiceRequest.get("/users/42?token=canary")
                request.options.targetTemplate = number == 1 ? nil : "users/{id}"
                _ = try await client.fetch(request)
                let told = events.entries.compactMap(\.request)
                #expect(told.allSatisfy { $0.request == number && $0.attempt == 1 && $0.resend == 0 })
                #expect(told.allSatisfy { $0.method == "GET" && $0.origin.port == server.port })
                #expect(Set(told.map(\.target)) == [number == 1 ? "/users/42" : "users/{id}"])
                #expect(told.suffix(6).allSatisfy { $0.connection == 1 })
                #expect(events.entries.allSatisfy { $0.instant == clock.now })
            }
            try await end(client, clock)
        }
    }

    @Test("A resend shows the failure on the reused connection, then the same attempt on another connection")
    func resend() async throws {
        try await withClient { client, server in
            server.onConnection { connection in
                guard try await connection.readRequest() != nil else { return }
                try await connection.reply(200, body: "x")
                guard let request = try await connection.readRequest() else { return }
                if request.path == "/dies", connection.number == 1 { return try await connection.closeNow() }
                try await connection.reply(200, body: "x")
            }
            _ = try await client.fetch("/")
            events.reset()
            #expect(try await client.fetch("/dies").response.resends == 1)
            let first = ["leased again", "head sent", "body sent", "failed connectionClosed", "resending"]
            #expect(events.requestTexts == first + ["queued", "dequeued", "leased"] + Self.exchange)
            let told = events.entries.compactMap(\.request)
            #expect(told.map(\.resend) == [0, 0, 0, 0] + Array(repeating: 1, count: 9))
            #expect(told.allSatisfy { $0.attempt == 1 && $0.request == 2 })
            #expect(events.texts.contains("closed closedByPeer #1"))
        }
    }

    @Test("A retry's decision comes between the attempts of one call")
    func retry() async throws {
        try await withClient {
            $0.retry.maximumAttempts = 2
            $0.retry.baseDelay = .zero
            $0.retry.throttledBaseDelay = .zero
        } _: { client, server in
            server.respond(inOrder: [.reply(503, body: "x"), .reply(502, body: "x")])
            _ = try await client.fetch("/")
            let leased = ["head sent", "body sent", "first byte"]
            #expect(
                events.requestTexts == ["queued", "dequeued", "leased"] + leased + ["head 503", "body end", "retries"]
                    + ["leased again"] + leased + ["head 502", "body end", "gives up: attemptsExhausted"])
            let told = events.entries.compactMap(\.request)
            #expect(told.map(\.attempt) == Array(repeating: 1, count: 9) + Array(repeating: 2, count: 7))
            #expect(Set(told.map(\.request)) == [1])
        }
    }

    @Test("The events of a redirected call tell its hops apart, and each hop counts its attempts from 1")
    func redirect() async throws {
        try await withClient {
            $0.retry.maximumAttempts = 2
            $0.retry.baseDelay = .zero
            $0.retry.throttledBaseDelay = .zero
        } _: { client, server in
            server.route(.get, "/a", always: .reply(302, fields: [.location: "/b"]))
            server.route(.get, "/b", inOrder: [.reply(503), .reply(200, body: "x")])
            let fetched = try await client.fetch("/a")
            #expect(fetched.text == "x")
            #expect(fetched.response.attempts == 2)
            #expect(fetched.response.requestsSent == 3)
            let heads = events.entries.filter { $0.text.hasPrefix("head ") && $0.text != "head sent" }
            #expect(heads.map(\.text) == ["head 302", "head 503", "head 200"])
            #expect(heads.compactMap(\.request?.hop) == [0, 1, 1])
            #expect(heads.compactMap(\.request?.attempt) == [1, 1, 2])
            #expect(Set(events.entries.compactMap(\.request?.request)) == [1])
        }
    }

    @Test("A failed dial ends the wait and the request")
    func dialFails() async throws {
        try await withLoopbackServer { server in
            let url = server.baseURL
            await server.stop()
            let client = try ServiceClient(baseURL: url) {
                $0.retry.maximumAttempts = 1
                $0.telemetry.events = [events]
            }
            let error = try await serviceError { _ = try await client.fetch("/") }
            #expect(error.code == .connectionRefused)
            let code = ServiceError.Code.connectionRefused
            let told = ["queued", "dialling #1", "failed \(code) #1", "dequeued", "failed \(code)"]
            #expect(events.texts == told + ["gives up: attemptsExhausted"])
            await client.shutdown()
        }
    }

    @Test("A response that breaks off is a failure after its head")
    func bodyFails() async throws {
        try await withClient { client, server in
            let response = ScriptedResponse(200, body: String(repeating: "x", count: 1000))
            server.respond { _ in .cut(after: 200, of: response) }
            _ = try await serviceError { _ = try await client.fetch("/") }
            let told = ["head sent", "body sent", "first byte", "head 200", "failed incompleteBody"]
            #expect(events.requestTexts == ["queued", "dequeued", "leased"] + told)
        }
    }

    @Test("A cancelled call has a cancelled event, before its head and after")
    func cancelled() async throws {
        try await withClient { client, server in
            let gate = Gate()
            server.route(.get, "/held") { _ in .reply(200, body: "x").held(by: gate) }
            let task = Task { _ = try await client.fetch("/held") }
            try await events.wait(for: "body sent")
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(
                events.requestTexts == Self.dial.filter { !$0.contains("#") } + ["head sent", "body sent", "cancelled"])
            try await events.wait(for: "closed cancelled #1")
            gate.open()

            events.reset()
            server.route(.get, "/stalls") { _ in .bytes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").thenStall() }
            let reading = Task { _ = try await client.fetch("/stalls") }
            try await events.wait(for: "head 200")
            reading.cancel()
            await #expect(throws: CancellationError.self) { try await reading.value }
            #expect(events.requestTexts.last == "cancelled")
            #expect(events.requestTexts.contains("head 200"))
        }
    }

    @Test("A body that the caller drops has an abandoned event, once")
    func abandoned() async throws {
        try await withClient { client, server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: String(repeating: "x", count: 1000)).held(by: gate) }
            server.route(.get, "/large") { _ in .bytes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").thenStall() }
            let response = try await client.get("/large")
            response.body.discard()
            try await events.wait(for: "abandoned")
            try await events.wait(for: "closed bodyAbandoned")
            #expect(events.requestTexts.filter { $0 == "abandoned" }.count == 1)
            #expect(!events.texts.contains("body end"))
            gate.open()
        }
    }

    @Test("A saturated pool refuses with an event, and a waiter's event comes when its wait is over")
    func waiting() async throws {
        try await withClient {
            $0.pool.maximumPerOrigin = 1
            $0.pool.maximumWaiting = 1
        } _: { client, server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: "x").held(by: gate) }
            async let first = client.fetch("/1")
            try await server.waitForRequests(count: 1)
            events.reset()
            async let second = client.fetch("/2")
            try await events.wait(for: "queued")
            let error = try await serviceError { _ = try await client.fetch("/3") }
            #expect(error.code == .poolSaturated)
            let refused = ["queued", "queued", "dequeued", "failed poolSaturated", "gives up: notRetryable"]
            // The server may have the first request before the client's loop has sent its event.
            let others = events.entries.filter { $0.request.map { $0.target != "/1" } ?? false }
            #expect(others.map(\.text) == refused)
            gate.open()
            _ = try await (first, second)
            let told = events.entries.filter { $0.request?.target == "/2" }.map(\.text)
            #expect(told == ["queued", "dequeued", "leased again"] + Self.exchange)
        }
    }

    @Test("A connection's events are complete: as many established as closed, whatever happened to the requests")
    func balance() async throws {
        try await withClient { client, server in
            server.respond { request in
                switch request.number % 4 {
                case 0: .reply(200, body: "x").thenClose()
                case 1: .bytes("nonsense\r\n\r\n")
                case 2: .reply(200, fields: [.connection: "close"], body: "x")
                default: .reply(200, body: "x")
                }
            }
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<80 { group.addTask { _ = try? await client.fetch("/\(number)") } }
            }
            await client.shutdown()
            let texts = events.texts
            let established = texts.filter { $0.hasPrefix("established") }.map { $0.split(separator: "#")[1] }
            let closed = texts.filter { $0.hasPrefix("closed") }.map { $0.split(separator: "#")[1] }
            #expect(established.sorted() == closed.sorted())
            #expect(Set(closed).count == closed.count)
            #expect(texts.filter { $0 == "queued" }.count == texts.filter { $0 == "dequeued" }.count)
        }
    }
}
