import Bowline
import BowlineTesting
import HTTPTypes
import NIOCore
import NIOHPACK
import Testing

@Suite("A request with Expect that is answered with 417 (RFC 9110 §10.1.1)", .timeLimit(.minutes(1)))
struct ExpectationTests {
    /// The kind of body; the one-shot kinds can be sent once.
    enum Body: String, CaseIterable, Sendable {
        case bytes, replayable, stream, streamOfKnownLength

        func make() -> RequestBody {
            switch self {
            case .bytes: .text("payload")
            case .replayable: .replayable(length: 7) { chunks() }
            case .stream: .stream(chunks())
            case .streamOfKnownLength: .stream(chunks(), length: 7)
            }
        }

        private func chunks() -> AsyncStream<ByteBuffer> {
            AsyncStream { continuation in
                for piece in ["pay", "load"] { continuation.yield(ByteBuffer(string: piece)) }
                continuation.finish()
            }
        }
    }

    private static func request(_ body: RequestBody, ownField: Bool = false) -> ServiceRequest {
        var request = ServiceRequest.post("up", body: body)
        request.fields[.userAgent] = "test"
        if ownField {
            request.fields[.expect] = "100-continue"
        } else {
            request.options.continueTimeout = .seconds(20)
        }
        return request
    }

    /// A request that is answered with 417 over HTTP/1.1, and another one after it.
    private struct Exchange {
        let fetched: FetchedResponse
        let next: FetchedResponse
        let requests: [RecordedRequest]
        let bytesOnFirstConnection: Int
    }

    private func exchangeOverHTTP1(_ body: Body, ownField: Bool) async throws -> Exchange {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                while let head = try await connection.readRequestHead() {
                    if head.expectsContinue {
                        // The client may reuse the connection: the next bytes would be the body, or another request.
                        try await connection.reply(417, body: "no")
                        try await connection.waitForClose()
                        return
                    }
                    let request = try await connection.readBody(of: head)
                    try await connection.reply(200, body: request.bodyText)
                }
            }
            let (fetched, next) = try await withServiceClient(server.baseURL) {
                // Retries are off: the second attempt is not a retry.
                $0.retry = .never
            } _: { client in
                let fetched = try await client.fetch(Self.request(body.make(), ownField: ownField))
                return (fetched, try await client.fetch("/next"))
            }
            return Exchange(
                fetched: fetched, next: next, requests: server.requests,
                bytesOnFirstConnection: server.connections[0].bytesReceived)
        }
    }

    @Test(
        "Over HTTP/1.1 the caller gets the second attempt's response, from another connection", .tags(.H1c),
        arguments: Body.allCases, [false, true])
    func responseOverHTTP1(body: Body, ownField: Bool) async throws {
        let exchange = try await exchangeOverHTTP1(body, ownField: ownField)
        let fetched = exchange.fetched
        #expect(fetched.text == "payload")
        #expect(fetched.response.attempts == 2)
        #expect(fetched.response.requestsSent == 2)
        #expect(fetched.response.resends == 0)
        #expect(fetched.connectionID == 2)
        // Each request gets its own answer.
        #expect(exchange.next.text == "")
    }

    @Test(
        "Over HTTP/1.1 the body is sent only with the second attempt, which has no Expect", .tags(.H1c),
        arguments: Body.allCases, [false, true])
    func requestsOverHTTP1(body: Body, ownField: Bool) async throws {
        let exchange = try await exchangeOverHTTP1(body, ownField: ownField)
        let requests = exchange.requests
        try #require(requests.map(\.path) == ["/up", "/up", "/next"])
        #expect(requests[0].bodyLength == 0)
        #expect(!requests[0].isComplete)
        #expect(requests[1][.expect] == nil)
        #expect(requests[1][.userAgent] == "test")
        #expect(requests[1].bodyText == "payload")
        #expect(exchange.bytesOnFirstConnection == requests[0].head.utf8.count)
    }

    @Test(
        "Over HTTP/2 the request is sent once more without Expect, on the same connection, with its body", .tags(.H1c),
        arguments: Body.allCases, [false, true])
    func overHTTP2(body: Body, ownField: Bool) async throws {
        try await withLoopbackServer { server in
            let seen = Guarded<[[String]]>([])
            server.onConnection { connection in
                var peer = try await FramePeer(connection)
                while let head = try? await peer.nextHead() {
                    seen.withLock { $0.append(head.fields.map { "\($0.name): \($0.value)" }) }
                    if head.fields.contains(name: "expect") {
                        try await peer.reply(417, on: head.stream)
                        continue
                    }
                    let body = try await peer.body()
                    try await peer.reply(200, on: head.stream, ends: false)
                    try await connection.send(
                        FramePeer.frame(FramePeer.data, flags: 1, on: head.stream, payload: body))
                }
            }
            try await withComparedHTTP2Client(server) {
                $0.retry = .never
            } _: { client, sent in
                let body = body.make()
                if body.isStream { sent.note(body, yields: ByteBuffer(string: "payload")) }
                let fetched = try await client.fetch(Self.request(body, ownField: ownField))
                #expect(fetched.text == "payload")
                #expect(fetched.response.attempts == 2)
                #expect(fetched.connectionID == 1)
            }
            let fields = seen.withLock { $0 }
            #expect(fields.count == 2)
            #expect(fields[0].contains("expect: 100-continue"))
            #expect(fields[0].filter { $0 != "expect: 100-continue" } == fields[1])
            #expect(fields[1].contains("user-agent: test"))
            #expect(fields[1].contains(":path: /up"))
            #expect(server.rawRequests.map { String(buffer: $0.body) } == ["", "payload"])
        }
    }

    @Test(
        "A POST whose 417 comes after the body is not sent again; a PUT is", .tags(.H1c),
        arguments: [HTTPRequest.Method.post, .put])
    func afterTheBody(method: HTTPRequest.Method) async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                while let head = try await connection.readRequestHead() {
                    if head.expectsContinue { try await connection.send("HTTP/1.1 100 Continue\r\n\r\n") }
                    _ = try await connection.readBody(of: head)
                    try await connection.reply(417, body: "no")
                }
            }
            try await withServiceClient(server.baseURL) { client in
                var request = Self.request(.text("payload"))
                request.method = method
                let fetched = try await client.fetch(request)
                #expect(fetched.response.status.code == 417)
                #expect(fetched.text == "no")
                #expect(fetched.response.attempts == (method == .post ? 1 : 2))
            }
            #expect(server.requests.map(\.bodyText) == Array(repeating: "payload", count: method == .post ? 1 : 2))
        }
    }

    @Test("A POST whose 417 does not say whether the body was sent is not sent again; a PUT is", .tags(.H1c))
    func unmeasured() async throws {
        for (method, sendings) in [(HTTPRequest.Method.post, 1), (.put, 2)] {
            let stub = StubTransport()
            stub.on(nil, "/up", inOrder: [.respond(HTTPResponse.Status(code: 417)), .respond(.created)])
            let client = try ServiceClient(baseURL: "http://a.example", transport: stub) { $0.retry = .never }
            var request = ServiceRequest(method: method, "/up", body: .text("payload"))
            request.options.continueTimeout = .seconds(20)
            let response = try await client.send(request)
            #expect(response.status.code == (sendings == 1 ? 417 : 201))
            #expect(stub.calls.count == sendings)
            await client.shutdown()
        }
    }

    @Test("The caller gets a second 417, and the first 417 to a request without Expect", .tags(.H1c))
    func onlyOnce() async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                while let head = try await connection.readRequestHead() {
                    if !head.expectsContinue { _ = try await connection.readBody(of: head) }
                    try await connection.reply(417, body: "no")
                    if head.expectsContinue { try await connection.waitForClose() }
                }
            }
            try await withServiceClient(server.baseURL) { client in
                let fetched = try await client.fetch(Self.request(.text("payload")))
                #expect(fetched.response.status.code == 417)
                #expect(fetched.text == "no")
                #expect(fetched.response.attempts == 2)
                let plain = try await client.fetch(.post("plain", body: .text("payload")))
                #expect(plain.response.status.code == 417)
                #expect(plain.response.attempts == 1)
            }
            #expect(server.requests.map(\.path) == ["/up", "/up", "/plain"])
        }
    }

    @Test("A one-shot body that has been partly sent is not sent again; its sequence is cancelled", .tags(.H1c))
    func bodyIsGone() async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                _ = try await connection.readRequestHead()
                _ = try await connection.read(atLeast: 80_000)
                try await connection.reply(417, body: "no")
                try await connection.waitForClose()
            }
            try await withServiceClient(server.baseURL) { client in
                let cancelled = Gate()
                let chunks = AsyncStream<ByteBuffer> { continuation in
                    continuation.yield(ByteBuffer(repeating: 0x61, count: 100_000))
                    continuation.onTermination = { _ in cancelled.open() }
                }
                var request = Self.request(.stream(chunks))
                request.options.continueTimeout = .milliseconds(1)
                let fetched = try await client.fetch(request)
                #expect(fetched.response.status.code == 417)
                #expect(fetched.text == "no")
                #expect(fetched.response.attempts == 1)
                try await cancelled.wait()
            }
            #expect(server.requests.count == 1)
        }
    }

    /// What middleware turns a 417 into, so that the client does not see it.
    enum Disguise: CaseIterable, Sendable {
        case errorPerAttempt, responsePerAttempt, errorThatPerCallAnswers
    }

    private struct Disguised: Error {}

    private struct Disguising: ServiceMiddleware {
        let disguise: Disguise
        let body: RequestBody

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            var request = request
            // The middleware's own body: the client does not know it.
            request.body = body
            let response = try await next(request, context: context)
            #expect(response.status.code == 417)
            response.body.discard()
            if disguise == .responsePerAttempt { return ServiceResponse(status: .accepted) }
            throw Disguised()
        }
    }

    private struct Answering: ServiceMiddleware {
        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            do {
                return try await next(request, context: context)
            } catch is Disguised {
                return ServiceResponse(status: .accepted)
            }
        }
    }

    @Test(
        "A one-shot body is released at the call's end if middleware turns its 417 into something else", .tags(.H1c),
        arguments: Disguise.allCases, [false, true])
    func disguised(disguise: Disguise, overHTTP2: Bool) async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                if overHTTP2 {
                    var peer = try await FramePeer(connection)
                    let head = try await peer.nextHead()
                    _ = try await peer.next()
                    try await peer.reply(417, on: head.stream)
                } else {
                    _ = try await connection.readRequestHead()
                    _ = try await connection.read(atLeast: 4)
                    try await connection.reply(417, body: "no")
                }
                try await connection.waitForClose()
            }
            // Partly sent, and short enough to be sent again.
            let chunks = AsyncStream<ByteBuffer> { $0.yield(ByteBuffer(string: "part")) }
            let body = RequestBody.stream(chunks)
            let sent = SentFields(isMarking: false)
            sent.note(body, yields: ByteBuffer(string: "part"))
            try await withServiceClient(server.baseURL) {
                if overHTTP2 { $0.http2.negotiation = .http2Only }
                $0.retry = .never
                $0.middleware.perAttempt = [Disguising(disguise: disguise, body: body), sent]
                if disguise == .errorThatPerCallAnswers { $0.middleware.perCall = [Answering()] }
            } _: { client in
                var request = Self.request(.none)
                request.body = .text("in its place another is sent")
                request.options.continueTimeout = .milliseconds(1)
                if disguise == .errorPerAttempt {
                    await #expect(throws: Disguised.self) { _ = try await client.send(request) }
                } else {
                    let fetched = try await client.fetch(request)
                    #expect(fetched.response.status == .accepted)
                }
                try await eventually("the body is given up") { !body.isReplayable }
            }
            await sent.compare(with: server.rawRequests)
            #expect(server.rawRequests.map { String(buffer: $0.body) } == (overHTTP2 ? ["part"] : []))
        }
    }

    @Test(
        "An early response to the second attempt leaves its upload running, also after the call's end", .tags(.H1c),
        arguments: [false, true])
    func earlyResponse(isRefusedFirst: Bool) async throws {
        try await withLoopbackServer { server in
            let body = Gate()
            server.onConnection { connection in
                guard let head = try await connection.readRequestHead() else { return }
                if head.expectsContinue {
                    try await connection.reply(417, body: "no")
                    try await connection.waitForClose()
                    return
                }
                try await connection.reply(200, body: "ok")
                if try await connection.readBody(of: head).bodyText == "payload" { body.open() }
            }
            let (chunks, continuation) = AsyncStream.makeStream(of: ByteBuffer.self)
            continuation.yield(ByteBuffer(string: "pay"))
            try await withServiceClient(server.baseURL) {
                $0.retry = .never
            } _: { client in
                var request = Self.request(.stream(chunks))
                if !isRefusedFirst { request.options.continueTimeout = nil }
                let fetched = try await client.fetch(request)
                #expect(fetched.response.status == .ok)
                #expect(fetched.response.attempts == (isRefusedFirst ? 2 : 1))
                continuation.yield(ByteBuffer(string: "load"))
                continuation.finish()
                try await body.wait()
            }
        }
    }

    /// Sends another body, and answers in place of a failed attempt.
    private struct Swallowing: ServiceMiddleware {
        let body: RequestBody

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            var request = request
            request.body = body
            do {
                return try await next(request, context: context)
            } catch {
                return ServiceResponse(status: .accepted)
            }
        }
    }

    @Test(
        "A one-shot body of a failed attempt that middleware answers for is released at the call's end",
        arguments: [false, true])
    func swallowed(isOwn: Bool) async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                _ = try await connection.readRequestHead()
                _ = try await connection.read(atLeast: 4)
            }
            let chunks = AsyncStream<ByteBuffer> { $0.yield(ByteBuffer(string: "part")) }
            let body = RequestBody.stream(chunks)
            try await withServiceClient(server.baseURL) {
                $0.retry = .never
                $0.middleware.perAttempt = [Swallowing(body: body)]
            } _: { client in
                var request = Self.request(.none)
                request.options.continueTimeout = nil
                request.body = isOwn ? body : .text("in its place another is sent")
                let fetched = try await client.fetch(request)
                #expect(fetched.response.status == .accepted)
                try await eventually("the body is given up") { !body.isReplayable }
            }
        }
    }

    @Test("The second attempt's error is the call's outcome, and its progress includes the first response", .tags(.H1c))
    func secondFails() async throws {
        let stub = StubTransport()
        stub.on(.put, "/up", inOrder: [.respond(.init(code: 417)), .fail(.connectFailed, progress: .neverSent)])
        let client = try ServiceClient(baseURL: "http://a.example", transport: stub) { $0.retry = .never }
        var request = Self.request(.text("payload"))
        request.method = .put
        let error = try await serviceError { _ = try await client.send(request) }
        #expect(error.code == .connectFailed)
        #expect(error.attempts == 2)
        #expect(error.progress == .responseStarted)
        #expect(stub.calls.map { $0.request.options.continueTimeout } == [.seconds(20), nil])
    }
}
