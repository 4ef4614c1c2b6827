import Bowline
import BowlineTesting
import OpenAPIRuntime
import Testing

@testable import BowlineOpenAPI

@Suite("Bodies that operations send", .timeLimit(.minutes(1)))
struct UploadTests {
    private struct Broken: Error, Hashable {}

    private struct BrokenChunks: AsyncSequence, Sendable {
        struct Iterator: AsyncIteratorProtocol {
            private var hasYielded = false

            mutating func next() async throws -> ArraySlice<UInt8>? {
                guard !hasYielded else { throw Broken() }
                hasYielded = true
                return [0x61, 0x62]
            }
        }

        func makeAsyncIterator() -> Iterator { Iterator() }
    }

    /// Keeps bodies of 8 MiB.
    private static var keepingAll: LoopbackServer.Options {
        var options = LoopbackServer.Options()
        options.recordedBodyLimit = 8 << 20
        return options
    }

    private func bytes(_ request: RecordedRequest?) -> [UInt8]? {
        request.map { Array($0.body.readableBytesView) }
    }

    @Test(
        "4 MiB arrive byte by byte as they were, framed by the length where it is known",
        arguments: [IterationBehavior.single, .multiple], [true, false])
    func contents(behavior: IterationBehavior, hasLength: Bool) async throws {
        try await withOrders(Self.keepingAll) { service in
            service.server.respond { .reply(200, body: "\($0.bodyLength)") }
            let chunks = PatternChunks(count: 4 << 20, chunkSize: 50_000)
            let body = HTTPBody(
                chunks, length: hasLength ? .known(4 << 20) : .unknown, iterationBehavior: behavior)
            let answer = try await service.api.call("upload", .put, "/blob", body: body)
            #expect(try await answer.text() == "\(4 << 20)")
            let request = try #require(service.server.requests.first)
            #expect(request[.contentLength] == (hasLength ? "\(4 << 20)" : nil))
            #expect(request[.transferEncoding] == (hasLength ? nil : "chunked"))
            #expect(bytes(request) == chunks.bytes)
        }
    }

    @Test("a large chunk goes out in pieces", arguments: [0, 1, 131_072, 131_073, 1 << 20])
    func pieces(count: Int) async throws {
        let bytes = PatternChunks(count: count, chunkSize: 1).bytes
        var sizes: [Int] = []
        var joined = ByteBuffer()
        for try await var piece in RequestChunks(body: HTTPBody(bytes)) {
            sizes.append(piece.readableBytes)
            joined.writeBuffer(&piece)
        }
        #expect(Array(joined.readableBytesView) == bytes)
        #expect(sizes.allSatisfy { $0 <= 131_072 })
        #expect(sizes.count == max(1, (count + 131_071) / 131_072))
    }

    @Test("no body is none, and an empty one is empty")
    func nothing() async throws {
        try await withOrders { service in
            service.server.respond { .reply(200, body: $0.bodyText) }
            _ = try await service.api.call("none", .get, "/none")
            _ = try await service.api.call("empty", .put, "/empty", body: HTTPBody())
            let requests = service.server.requests
            #expect(requests.map(\.bodyLength) == [0, 0])
            #expect(requests.first?[.contentLength] == nil && requests.first?[.transferEncoding] == nil)
            #expect(requests.allSatisfy { $0.isComplete })
        }
    }

    @Test("a body that may be iterated several times is sent again after a 503", arguments: [5, 200_000])
    func replayed(count: Int) async throws {
        try await withOrders { service in
            service.server.respond(inOrder: [.reply(503), .reply(200, body: "taken")])
            let chunks = PatternChunks(count: count, chunkSize: 50_000)
            let body = HTTPBody(chunks, length: .known(Int64(count)), iterationBehavior: .multiple)
            let answer = try await service.api.call("upload", .put, "/blob", body: body)
            #expect(answer.response.status == .ok)
            #expect(try await answer.text() == "taken")
            #expect(service.server.requests.map(bytes) == [chunks.bytes, chunks.bytes])
        }
    }

    @Test("a body that may be iterated once is not sent again after a 503", arguments: [5, 200_000])
    func notReplayed(count: Int) async throws {
        try await withOrders { service in
            service.server.respond(inOrder: [.reply(503, body: "busy"), .reply(200, body: "taken")])
            let chunks = PatternChunks(count: count, chunkSize: 50_000)
            let body = HTTPBody(chunks, length: .known(Int64(count)), iterationBehavior: .single)
            let answer = try await service.api.call("upload", .put, "/blob", body: body)
            #expect(answer.response.status == .serviceUnavailable)
            #expect(try await answer.text() == "busy")
            #expect(service.server.requests.map(bytes) == [chunks.bytes])
        }
    }

    @Test("a redirect that keeps the method takes the body along")
    func redirected() async throws {
        try await withOrders { service in
            service.server.route(.put, "/v1/old", always: .reply(307, fields: [.location: "/v1/new"]))
            service.server.route(.put, "/v1/new") { .reply(200, body: $0.bodyText) }
            let answer = try await service.api.call("move", .put, "/old", body: HTTPBody("content"))
            #expect(answer.response.status == .ok)
            #expect(try await answer.text() == "content")
            #expect(service.server.requests.map(\.target) == ["/v1/old", "/v1/new"])
        }
    }

    @Test("a body that throws fails the call with what it threw, and the service sees no whole request")
    func throwingBody() async throws {
        try await withOrders { service in
            service.server.respond { _ in .reply(200) }
            let body = HTTPBody(BrokenChunks(), length: .unknown, iterationBehavior: .single)
            let error = try await serviceError { try await service.api.call("upload", .put, "/", body: body) }
            #expect(error.code == .requestBodyFailed)
            #expect(error.underlying as? Broken == Broken())
            try await service.server.waitForOpenConnections(count: 0)
            #expect(service.server.requests.allSatisfy { !$0.isComplete })
        }
    }

    @Test(
        "a body that is not as long as it says fails the call, and the service sees no whole request",
        arguments: [3, 9])
    func wrongLength(length: Int64) async throws {
        try await withOrders { service in
            service.server.respond { _ in .reply(200) }
            let body = HTTPBody(
                PatternChunks(count: 5, chunkSize: 2), length: .known(length), iterationBehavior: .multiple)
            let error = try await serviceError { try await service.api.call("upload", .put, "/", body: body) }
            #expect(error.code == .requestBodyLengthMismatch)
            try await service.server.waitForOpenConnections(count: 0)
            #expect(service.server.requests.allSatisfy { !$0.isComplete })
        }
    }

    @Test("a length below zero is refused before anything is sent")
    func negativeLength() async throws {
        try await withOrders { service in
            let body = HTTPBody(PatternChunks(count: 5, chunkSize: 2), length: .known(-1), iterationBehavior: .single)
            let error = try await serviceError { try await service.api.call("upload", .put, "/", body: body) }
            #expect(error.code == .invalidRequest)
            #expect(error.message.contains("body.length"))
            #expect(service.server.connections.isEmpty)
        }
    }

    @Test("a body of a call that was refused can still be sent by another")
    func refusedCall() async throws {
        try await withOrders { service in
            await service.client.shutdown()
            let chunks = PatternChunks(count: 5, chunkSize: 2)
            let body = HTTPBody(chunks, length: .unknown, iterationBehavior: .single)
            let error = try await serviceError { try await service.api.call("upload", .put, "/", body: body) }
            #expect(error.code == .shuttingDown)
            #expect(error.progress == .neverSent)
            #expect(try await [UInt8](collecting: body, upTo: 10) == chunks.bytes)
        }
    }
}
