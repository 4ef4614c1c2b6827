import Bowline
import BowlineTesting
import Foundation
import NIOCore
import Testing

/// Runs the recipes of Docs/Cookbook.md about what a client sends.
@Suite("Recipes of the cookbook: sending", .timeLimit(.minutes(1)))
struct CookbookSendingTests {
    private typealias Order = CookbookReading.Order

    private let recipes = CookbookSending()

    /// A keyed checksum in place of an HMAC: the test is about the bytes that it covers.
    @Sendable private static func code(_ parts: String...) -> String {
        var sum: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in (["a secret"] + parts).joined(separator: "\n").utf8 {
            sum = (sum ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
        }
        return String(sum, radix: 16)
    }

    @Test("One call has more attempts than its client, another has one")
    func retries() async throws {
        let (stub, clock) = (StubTransport(), TestClock())
        let busy = StubAnswer.respond(.serviceUnavailable)
        stub.on(.get, "/report", inOrder: [busy, busy, busy, busy, busy, .respond(.ok)])
        stub.on(.get, "/status", inOrder: [busy])
        let client = try ServiceClient(baseURL: "https://api.example.com", transport: stub) {
            $0.clock = clock
            $0.random = { 0 }
        }
        let report = try await recipes.report(client)
        #expect(report.status == .ok)
        #expect(report.attempts == 6)
        let status = try await recipes.status(client)
        #expect(status.status == .serviceUnavailable)
        #expect(status.attempts == 1)
        try stub.verify()
    }

    @Test("A refusal says why, and any other error stays an error")
    func problem() async throws {
        let stub = StubTransport()
        let refusal = #"{"type":"https://example.com/no-stock","title":"No stock","detail":"none of 7 left"}"#
        stub.on(
            .post, "/orders",
            inOrder: [
                .respond(.created),
                .respond(.conflict, fields: [.contentType: "application/problem+json"], body: refusal),
                .respond(.internalServerError, fields: [.contentType: "application/problem+json"], body: refusal),
            ])
        let client = try ServiceClient(baseURL: "https://api.example.com", transport: stub)
        let order = Order(id: 7)
        let placed = try await recipes.place(order, client)
        #expect(placed == nil)
        let refused = try await recipes.place(order, client)
        #expect(refused?.type == "https://example.com/no-stock")
        #expect(refused?.title == "No stock")
        #expect(refused?.detail == "none of 7 left")
        let error = await Requests.failure { try await recipes.place(order, client) }
        #expect((error as? ServiceError)?.unexpectedStatus?.status == .internalServerError)
        #expect(stub.calls.map(\.bodyText) == Array(repeating: #"{"id":7}"#, count: 3))
    }

    @Test("A file is sent after the service has agreed, and its progress is reported to the end")
    func upload() async throws {
        let content = Data((0..<300_000).map { UInt8(truncatingIfNeeded: $0) })
        try await withTemporaryFolder { folder in
            let path = try folder.write("today.tar", content)
            try await withLoopbackServer { server in
                server.route(.put, "/backups/today", always: .reply(201))
                try await withServiceClient(server.baseURL) { client in
                    let done = Gate()
                    try await recipes.upload(path, to: client) { if $0.fraction == 1 { done.open() } }
                    try await done.wait()
                }
                let request = try #require(server.requests.first)
                #expect(request.expectsContinue)
                #expect(request[.contentType] == "application/x-tar")
                #expect(Data(request.body.readableBytesView) == content)
            }
        }
    }

    @Test("An upload that the service refuses is not sent")
    func refusedUpload() async throws {
        try await withTemporaryFolder { folder in
            let path = try folder.write("today.tar", Data(repeating: 7, count: 300_000))
            try await withLoopbackServer { server in
                server.onConnection { connection in
                    _ = try await connection.readRequestHead()
                    try await connection.reply(413, fields: [.connection: "close"])
                    try await connection.closeNow()
                }
                try await withServiceClient(server.baseURL) { client in
                    let error = await Requests.failure { try await recipes.upload(path, to: client) { _ in } }
                    #expect((error as? ServiceError)?.unexpectedStatus?.status == .contentTooLarge)
                }
                #expect(server.requests.map(\.bodyLength) == [0])
            }
        }
    }

    @Test("A token is fetched once, with the client's own credentials, and sent with each request")
    func oauth() async throws {
        try await withLoopbackServer { server in
            let answer = #"{"access_token":"t-1","token_type":"Bearer","expires_in":3600}"#
            server.route(.post, "/oauth/token", always: .reply(200, body: answer))
            server.route(.get, "/v1/orders") { request in .reply(request[.authorization] == "Bearer t-1" ? 200 : 401) }
            let client = try recipes.client(
                of: server.url("/v1"), tokensFrom: server.url("/oauth"), id: "shop", secret: "s3cret")
            for _ in 1...2 {
                let response = try await client.get("orders")
                #expect(response.status == .ok)
            }
            await client.shutdown()
            #expect(server.requests.map(\.path) == ["/oauth/token", "/v1/orders", "/v1/orders"])
            let asked = try #require(server.requests.first)
            #expect(asked[.authorization] == "Basic c2hvcDpzM2NyZXQ=")
            #expect(asked.bodyText == "grant_type=client_credentials&scope=orders")
            #expect(asked[.contentType] == "application/x-www-form-urlencoded")
        }
    }

    @Test("Method, target, date and body are signed, again for each attempt")
    func hmac() async throws {
        typealias Secret = CookbookSending.SharedSecret
        let ticks = Guarded(0)
        let secret = Secret(
            code: { text, body in Self.code(text, String(buffer: body)) },
            now: {
                Date(
                    timeIntervalSince1970: ticks.withLock { ticks in
                        ticks += 60
                        return Double(ticks)
                    })
            })
        try await withLoopbackServer { server in
            server.route(.put, "/v1/orders/7", inOrder: [.reply(503), .reply(200)])
            try await withServiceClient(
                server.url("/v1"),
                configure: {
                    $0.authentication = secret.authentication
                    $0.retry.baseDelay = .zero
                }
            ) { client in
                let response = try await client.put("orders/7?dry=1", json: Order(id: 7))
                #expect(response.status == .ok)
            }
            let dates = server.requests.map { $0[Secret.date] ?? "" }
            #expect(dates == ["1970-01-01T00:01:00Z", "1970-01-01T00:02:00Z"])
            #expect(
                server.requests.map { $0[Secret.signature] ?? "" }
                    == dates.map { Self.code("PUT\n/v1/orders/7?dry=1\n\($0)", #"{"id":7}"#) })
        }
    }

    @Test("After a 401 the request has a new token and a signature over it; the token is fetched once")
    func signedToken() async throws {
        typealias Signed = CookbookSending.SignedToken
        let (stub, clock) = (StubTransport(), TestClock())
        let fetched = Guarded(0)
        let signed = Signed(
            token: {
                let number = fetched.withLock { count in
                    count += 1
                    return count
                }
                return BearerToken("t-\(number)")
            },
            code: { text, body in Self.code(text, String(buffer: body)) })
        stub.on(.put, "/v1/orders/7") { call in
            // A token that is refused within its first second is kept.
            clock.advance(by: .seconds(1))
            return .respond(call.fields[.authorization] == "Bearer t-1" ? .unauthorized : .ok)
        }
        let client = try ServiceClient(baseURL: "https://api.example.com/v1", transport: stub) {
            $0.authentication = signed.authentication
            $0.clock = clock
            $0.retry = .never
        }
        let response = try await client.put("orders/7", json: Order(id: 7))
        #expect(response.status == .ok)
        #expect(response.attempts == 2)
        #expect(stub.calls.map { $0.fields[.authorization] } == ["Bearer t-1", "Bearer t-2"])
        #expect(
            stub.calls.map { $0.fields[Signed.signature] }
                == ["Bearer t-1", "Bearer t-2"].map { Self.code("PUT\n/v1/orders/7\n\($0)", #"{"id":7}"#) })
        #expect(fetched.withLock { $0 } == 2)
    }

    /// The bytes themselves: the test is about the bytes that are digested.
    private struct AllBytes: CookbookSending.BodyDigest {
        var text = ""
        var chunks = 0

        mutating func update(_ chunk: ByteBuffer) {
            text += String(buffer: chunk)
            chunks += 1
        }

        func finish() -> String { "\(chunks) chunks of \(text)" }
    }

    @Test("A body of any size is digested in chunks, and the same bytes are sent")
    func contentSignature() async throws {
        typealias Signature = CookbookSending.ContentSignature
        let signature = Signature(
            digest: { AllBytes() },
            sign: { request, content in
                "X-Test \(request.method.rawValue) \(request.url?.path ?? "") \(content)"
                    + " \(request.fields[Signature.contentDigest] == content)"
            })
        try await withLoopbackServer { server in
            server.route(.put, "/objects/a", always: .reply(200))
            try await withServiceClient(server.baseURL, configure: { $0.authentication = signature }) { client in
                let body = RequestBody.replayable {
                    AsyncStream<ByteBuffer> { stream in
                        for text in ["first ", "then"] { stream.yield(ByteBuffer(string: text)) }
                        stream.finish()
                    }
                }
                let response = try await client.put("objects/a", body: body)
                #expect(response.status == .ok)
            }
            let request = try #require(server.requests.first)
            #expect(request.bodyText == "first then")
            #expect(request[Signature.contentDigest] == "2 chunks of first then")
            #expect(request[.authorization] == "X-Test PUT /objects/a 2 chunks of first then true")
        }
    }

    @Test("A webhook is delivered again under the same key, and its receiver can check that it is authentic")
    func webhooks() async throws {
        typealias Webhooks = CookbookSending.Webhooks
        let code: @Sendable (ByteBuffer) -> String = { Self.code(String(buffer: $0)) }
        let recipes = recipes
        let isDown = Guarded(true)
        try await withLoopbackServer { receiver in
            receiver.route(.post, "/hooks") { request in
                let signature = request[Webhooks.signature] ?? ""
                guard recipes.isAuthentic(signature, of: request.body, code: code) else { return .reply(401) }
                let wasDown = isDown.withLock { isDown in
                    defer { isDown = false }
                    return isDown
                }
                return .reply(wasDown ? 503 : 204)
            }
            let client = try ServiceClient { $0.retry.baseDelay = .zero }
            let webhooks = Webhooks(client: client, code: code)
            try await webhooks.deliver(Webhooks.Event(id: "e-1", type: "order.placed"), to: receiver.url("/hooks"))
            await client.shutdown()
            #expect(receiver.requests.map { $0[Webhooks.idempotencyKey] } == ["e-1", "e-1"])
            #expect(receiver.requests.first?.bodyText == receiver.requests.last?.bodyText)
            let body = try #require(receiver.requests.last).body
            let event = try JSONDecoder().decode(Webhooks.Event.self, from: Data(body.readableBytesView))
            #expect(event.id == "e-1")
            #expect(event.type == "order.placed")
        }
    }

    @Test("A webhook to an address that redirects is not delivered elsewhere")
    func redirectedWebhook() async throws {
        try await withLoopbackServer { receiver in
            receiver.route(.post, "/hooks", always: .reply(307, fields: [.location: "/elsewhere"]))
            let client = try ServiceClient()
            let webhooks = CookbookSending.Webhooks(client: client) { _ in "00" }
            let error = await Requests.failure {
                try await webhooks.deliver(.init(id: "e-1", type: "order.placed"), to: receiver.url("/hooks"))
            }
            await client.shutdown()
            #expect((error as? ServiceError)?.unexpectedStatus?.status == .temporaryRedirect)
            #expect(receiver.requests.map(\.path) == ["/hooks"])
        }
    }

    @Test(
        "A signature is authentic only if the whole of it equals the body's code",
        arguments: [("abc", true), ("abd", false), ("ab", false), ("abcd", false), ("", false)])
    func verifying(signature: String, isAuthentic: Bool) {
        let found = recipes.isAuthentic(signature, of: ByteBuffer(), code: { _ in "abc" })
        #expect(found == isAuthentic)
    }
}
