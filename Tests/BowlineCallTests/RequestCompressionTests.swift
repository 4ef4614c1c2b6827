import BowlineCall
import BowlineCore
import BowlineTesting
import CorpusSupport
import NIOCore
import Testing

@Suite("Compression of request bodies", .timeLimit(.minutes(1)))
struct RequestCompressionTests {
    private static let text = Array(String(repeating: "order a bowline, please\n", count: 30_000).utf8)
    private static let pieces = stride(from: 0, to: text.count, by: 9000).map {
        ByteBuffer(bytes: text[$0..<min($0 + 9000, text.count)])
    }

    private static func stream(failingAfter count: Int? = nil) -> AsyncThrowingStream<ByteBuffer, any Error> {
        AsyncThrowingStream { continuation in
            for piece in pieces.prefix(count ?? .max) { continuation.yield(piece) }
            continuation.finish(throwing: count.map { _ in Broken() })
        }
    }

    private struct Broken: Error {}

    private static func request(_ body: RequestBody, fields: HTTPFields = [:]) -> ServiceRequest {
        var request = ServiceRequest(method: .post, "/", fields: fields, body: body)
        request.options.compression = .gzip
        return request
    }

    private static func send(
        _ request: ServiceRequest, through stub: StubTransport = StubTransport()
    ) async throws
        -> StubbedCall
    {
        stub.on(nil, "/", always: .respond())
        let pipeline = try TestRoad().over(stub)
        _ = try await pipeline(request, context: RequestContext())
        return try #require(stub.calls.last)
    }

    private static func bodies() -> [RequestBody] {
        [
            .bytes(text), .replayable { stream() }, .replayable(length: text.count) { stream() }, .stream(stream()),
            .stream(stream(), length: text.count),
        ]
    }

    @Test("A request body that opts in is sent gzipped and says so, whatever its kind", arguments: 0..<5)
    func compresses(index: Int) async throws {
        let body = Self.bodies()[index]
        let call = try await Self.send(Self.request(body, fields: [.contentLength: "5", .contentType: "text/plain"]))
        #expect(CodedBytes.gunzip(Array(call.body.readableBytesView)) == Self.text)
        #expect(call.body.readableBytes < Self.text.count / 50)
        #expect(call.request.fields == [.contentType: "text/plain", .contentEncoding: "gzip"])
        // Only bytes that were compressed before the head is written have a known length.
        #expect(call.request.body.length == (index == 0 ? call.body.readableBytes : nil))
    }

    @Test("Bytes and factories can always be sent again; a one-shot stream only while its beginning is kept")
    func replay() async throws {
        for (index, body) in Self.bodies().enumerated() {
            let call = try await Self.send(Self.request(body))
            #expect(call.request.body.isReplayable == (index < 3))
            guard index < 3 else { continue }
            for _ in 0..<2 {
                var again: [UInt8] = []
                var reader = try await call.request.body.makeReader(replayLimit: 0)
                while let chunk = try await reader.next() { again += chunk.readableBytesView }
                #expect(CodedBytes.gunzip(again) == Self.text)
            }
        }
    }

    @Test("a one-shot stream is compressed once and replayed from what is kept of it")
    func oneShotReplay() async throws {
        let seen = Guarded<[RequestBody]>([])
        let stub = StubTransport()
        stub.on(.post, "/", inOrder: [.fail(.connectionClosed, progress: .ambiguous), .respond()])
        let road = TestRoad { $0.perAttempt = [TwiceMiddleware { body in seen.withLock { $0.append(body) } }] }
        let pipeline = try road.over(stub)
        _ = try await pipeline(Self.request(.stream(Self.stream())), context: RequestContext())
        #expect(stub.calls.count == 2)
        for call in stub.calls {
            #expect(CodedBytes.gunzip(Array(call.body.readableBytesView)) == Self.text)
        }
    }

    private struct TwiceMiddleware: ServiceMiddleware {
        let note: @Sendable (RequestBody) -> Void

        func intercept(_ request: ServiceRequest, context: RequestContext, next: Next) async throws -> ServiceResponse {
            note(request.body)
            do { return try await next(request, context: context) } catch {
                return try await next(request, context: context)
            }
        }
    }

    @Test("A request without bytes, or without the option, is sent unchanged")
    func untouched() async throws {
        for body in [RequestBody.none, .bytes([UInt8]()), .replayable(length: 0) { Self.stream(failingAfter: 0) }] {
            let request = Self.request(body)
            let stub = StubTransport()
            stub.on(nil, "/", always: .fail(.connectionRefused, progress: .neverSent))
            _ = try? await Self.send(request, through: stub)
            #expect(stub.calls.first?.request.fields == [:])
            #expect(stub.calls.first?.request.body.length == 0)
        }
        var plain = Self.request(.text("hello"))
        plain.options.compression = .none
        #expect(try await Self.send(plain).body == ByteBuffer(string: "hello"))
    }

    @Test("a body that has a Content-Encoding already is refused before anything is sent")
    func alreadyCoded() async throws {
        let stub = StubTransport()
        let error = await #expect(throws: ServiceError.self) {
            _ = try await Self.send(Self.request(.text("x"), fields: [.contentEncoding: "br"]), through: stub)
        }
        #expect(error?.code == .invalidRequest)
        #expect(error?.progress == .neverSent)
        #expect(stub.calls.isEmpty)
    }

    @Test("A sequence that throws, or breaks its declared length, fails the request as without compression")
    func failures() async throws {
        let cases: [(RequestBody, ServiceError.Code)] = [
            (.stream(Self.stream(failingAfter: 2)), .requestBodyFailed),
            (
                .replayable { () async throws -> AsyncThrowingStream<ByteBuffer, any Error> in throw Broken() },
                .requestBodyFailed
            ),
            (.stream(Self.stream(), length: 10), .requestBodyLengthMismatch),
            (.replayable(length: Self.text.count + 1) { Self.stream() }, .requestBodyLengthMismatch),
        ]
        for (body, code) in cases {
            let error = await #expect(throws: ServiceError.self) { _ = try await Self.send(Self.request(body)) }
            #expect(error?.code == code)
        }
    }

    @Test("trailers and content type follow a compressed body as they would the plain one")
    func trailers() async throws {
        var body = RequestBody.bytes(Self.text).trailers { [.eTag: "t"] }
        body.contentType = "text/plain"
        let call = try await Self.send(Self.request(body))
        #expect(call.request.body.contentType == "text/plain")
        #expect(call.trailers == [.eTag: "t"])
        #expect(call.request.body.length == nil)
        #expect(CodedBytes.gunzip(Array(call.body.readableBytesView)) == Self.text)
    }
}
