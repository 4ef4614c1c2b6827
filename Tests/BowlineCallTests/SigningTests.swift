import BowlineCall
import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@Suite("Signatures over bodies", .timeLimit(.minutes(1)))
struct SigningTests {
    private let stub = StubTransport()
    private let clock = TestClock()
    private let digest = HTTPField.Name("X-Digest")!

    private func send(
        _ request: ServiceRequest, with authenticator: any RequestAuthenticator, _ outer: any ServiceMiddleware...,
        context: RequestContext = RequestContext()
    ) async throws -> ServiceResponse {
        var request = request
        request.url = try ServiceURL(request.reference)
        let road = TestRoad {
            $0.authenticator = authenticator
            $0.clock = clock
            $0.perAttempt = outer
        }
        return try await road.over(stub)(request, context: context)
    }

    private func signer(upTo limit: Int = 1 << 20) -> SigningAuthentication {
        SigningAuthentication(bodyUpTo: limit) { [digest] request, context, body in
            request.fields[digest] = "\(context.attempt) \(request.method) <\(String(buffer: body))>"
        }
    }

    @Sendable private static func chunks(_ texts: String...) -> AsyncStream<ByteBuffer> {
        AsyncStream { continuation in
            for text in texts { continuation.yield(ByteBuffer(string: text)) }
            continuation.finish()
        }
    }

    @Test("The signer gets each kind of body, and the same bytes are sent")
    func bodies() async throws {
        stub.on(nil, "/a", always: .respond(.ok))
        let bodies: [RequestBody] = [
            .none, .text("hello"), .replayable(length: 5) { Self.chunks("he", "llo") },
            .replayable { Self.chunks("hello") },
            .stream(Self.chunks("h", "ello")), .stream(Self.chunks("hello"), length: 5),
        ]
        for body in bodies { _ = try await send(.post("http://api.example/a", body: body), with: signer()) }
        #expect(stub.calls.map(\.bodyText) == ["", "hello", "hello", "hello", "hello", "hello"])
        #expect(stub.calls.map { $0.fields[digest] } == stub.calls.map { "1 POST <\($0.bodyText)>" })
    }

    @Test("a body that was read keeps its content type and its trailers, and has a length unless it has trailers")
    func properties() async throws {
        stub.on(nil, "/a", always: .respond(.ok))
        let trailer = try #require(HTTPField.Name("X-Sum"))
        var body = RequestBody.replayable { Self.chunks("hello") }
        body.contentType = "text/x"
        _ = try await send(.post("http://api.example/a", body: body), with: signer())
        #expect(stub.calls.last?.request.body.contentType == "text/x")
        #expect(stub.calls.last?.request.body.length == 5)
        _ = try await send(.post("http://api.example/a", body: body.trailers { [trailer: "1"] }), with: signer())
        #expect(stub.calls.last?.request.body.contentType == "text/x")
        #expect(stub.calls.last?.request.body.length == nil)
        #expect(stub.calls.last?.trailers == [trailer: "1"])
    }

    @Test("each attempt is signed over the whole body, that of a short stream too")
    func attempts() async throws {
        stub.on(nil, "/a", inOrder: [.respond(.serviceUnavailable), .respond(.ok)])
        let twice = Intercepting { request, context, next in
            _ = try await next(request, context: context)
            var context = context
            context.attempt += 1
            return try await next(request, context: context)
        }
        let request = ServiceRequest.post("http://api.example/a", body: .stream(Self.chunks("he", "llo")))
        _ = try await send(request, with: signer(), twice)
        #expect(stub.calls.map { $0.fields[digest] } == ["1 POST <hello>", "2 POST <hello>"])
        #expect(stub.calls.map(\.bodyText) == ["hello", "hello"])
    }

    @Test("A stream longer than the limit is not sent; bytes in memory have no limit")
    func limit() async throws {
        stub.on(nil, "/a", always: .respond(.ok))
        for body in [
            RequestBody.replayable(length: 5) { Self.chunks("hello") }, .replayable { Self.chunks("hel", "lo") },
            .stream(Self.chunks("hello")),
        ] {
            for limit in [4, 0, -1] {
                let error = await serviceError {
                    try await send(.post("http://api.example/a", body: body), with: signer(upTo: limit))
                }
                #expect(error?.code == .authenticationFailed)
                #expect(error?.progress == .neverSent)
            }
        }
        #expect(stub.calls.isEmpty)
        _ = try await send(.post("http://api.example/a", body: .text("hello")), with: signer(upTo: 4))
        _ = try await send(
            .post("http://api.example/a", body: .replayable { Self.chunks("hello") }), with: signer(upTo: 5))
        #expect(stub.calls.map(\.bodyText) == ["hello", "hello"])
    }

    @Test("A body that cannot be read fails the request with the body's error, and nothing is sent")
    func broken() async {
        struct Broken: Error {}
        let body = RequestBody.replayable { () throws -> AsyncStream<ByteBuffer> in throw Broken() }
        let error = await serviceError { try await send(.post("http://api.example/a", body: body), with: signer()) }
        #expect(error?.code == .authenticationFailed)
        #expect((error?.underlying as? ServiceError)?.underlying is Broken)
        #expect(stub.calls.isEmpty)
    }

    @Test("A body that never arrives blocks the signer until the request's deadline ends the request")
    func hanging() async throws {
        let (source, feed) = AsyncStream.makeStream(of: ByteBuffer.self)
        let asked = Gate()
        let body = RequestBody.replayable {
            asked.open()
            return source
        }
        let context = RequestContext(deadline: Deadline(clock.now.advanced(by: .seconds(5))), clock: clock)
        async let failure = serviceError {
            try await send(.post("http://api.example/a", body: body), with: signer(), context: context)
        }
        try await asked.wait()
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(5))
        #expect(await failure?.code == .deadlineExceeded)
        feed.finish()
    }

    @Test("A user's authenticator hashes a body in chunks and leaves it unchanged")
    func chunked() async throws {
        struct Summing: RequestAuthenticator {
            let name: HTTPField.Name

            func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
                var sum = 0
                for try await chunk in request.body.chunks { sum += chunk.readableBytesView.reduce(0) { $0 + Int($1) } }
                request.fields[name] = "\(sum)"
            }
        }
        stub.on(nil, "/a", always: .respond(.ok))
        for body in [RequestBody.text("ab"), .replayable { Self.chunks("a", "b") }, .stream(Self.chunks("a", "b"))] {
            _ = try await send(.post("http://api.example/a", body: body), with: Summing(name: digest))
        }
        #expect(stub.calls.map { $0.fields[digest] } == ["195", "195", "195"])
        #expect(stub.calls.map(\.bodyText) == ["ab", "ab", "ab"])
    }
}
