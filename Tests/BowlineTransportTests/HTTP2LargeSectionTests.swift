import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("Large field sections", .timeLimit(.minutes(1)))
struct HTTP2LargeSectionTests {
    private static let name = HTTPField.Name("x-large")

    private func request(
        _ path: String, _ character: String, _ count: Int, in name: String = "x-large"
    ) throws -> ServiceRequest {
        var request = ServiceRequest.get("http://a.example\(path)")
        request.fields[try #require(HTTPField.Name(name))] = String(repeating: character, count: count)
        return request
    }

    private func prepared(_ request: ServiceRequest, _ harness: HTTP2Harness) throws -> PreparedRequest {
        try harness.makeExchange(request).request
    }

    /// Sends the request and responds to it. Returns its HEADERS with CONTINUATION joined.
    @discardableResult
    private func roundTrip(_ request: ServiceRequest, _ harness: HTTP2Harness) async throws -> HTTP2WireFrame {
        let call = try await harness.send(request)
        let frame = try #require(try await harness.frames().first { $0.kind == .headers })
        let fields = try harness.fields(of: frame)
        for field in request.fields { #expect(fields[field.name.canonicalName] == field.value) }
        try await harness.reply(on: frame.stream)
        _ = try await call.task.value
        return frame
    }

    @Test(
        "A section above the peer's frame size goes out in several frames of that size, and arrives",
        arguments: [false, true], ["0", "a", "{", "\\", "é"])
    func split(isTableFull: Bool, character: String) async throws {
        let harness = try await HTTP2Harness()
        if isTableFull {
            // Forty fields of a hundred bytes: more than the table holds, so that names and values come and go in it.
            for number in 0..<40 {
                var request = ServiceRequest.get("http://a.example/fill")
                request.fields[try #require(HTTPField.Name("x-fill-\(number)"))] = String(repeating: "f", count: 100)
                try await roundTrip(request, harness)
            }
        }
        let frame = try await roundTrip(try request("/large", character, 200_000), harness)
        #expect(frame.pieces.count > 1)
        #expect(frame.pieces.dropLast().allSatisfy { $0 == 16_384 })
        #expect(frame.pieces.reduce(0, +) == frame.payload.readableBytes)
        // The peer's table and ours still agree.
        try await roundTrip(try request("/after", "z", 3), harness)
        await harness.finish()
    }

    @Test("a section of 16,384 bytes to the byte is one frame, and one byte more makes two")
    func exact() async throws {
        let harness = try await HTTP2Harness()
        // Never in the table, and of a byte for each: nothing that came before changes its size. A colon takes 7 bits, a
        // backslash 19, so that no Huffman code is shorter than the text itself.
        var count = 16_300
        var last = try await roundTrip(try request("/exact", "\\", count, in: "authorization"), harness)
        while last.payload.readableBytes < 16_384 {
            #expect(last.pieces.isEmpty)
            count += max(1, (16_384 - last.payload.readableBytes) / 2)
            last = try await roundTrip(try request("/exact", "\\", count, in: "authorization"), harness)
        }
        #expect(last.payload.readableBytes == 16_384)
        #expect(last.pieces.isEmpty)
        let larger = try await roundTrip(try request("/exact", "\\", count + 1, in: "authorization"), harness)
        #expect(larger.pieces == [16_384, 1])
        await harness.finish()
    }

    @Test("The frames are as large as the peer allows, and follow its changes")
    func frameSizeChanges() async throws {
        let harness = try await HTTP2Harness(settings: [(5, 100_000)])
        let large = try await roundTrip(try request("/large", "\\", 60_000), harness)
        #expect(large.pieces.isEmpty)
        #expect(large.payload.readableBytes > 60_000)
        try await harness.receive(.settings([(5, 16_384)]))
        _ = try await harness.frames()
        let split = try await roundTrip(try request("/large", "\\", 60_001), harness)
        #expect(split.pieces.count == 4)
        #expect(split.pieces.first == 16_384)
        try await roundTrip(try request("/small", "0", 10), harness)
        await harness.finish()
    }

    /// The size of the request's list of fields, and the stream that carries it on a connection without a limit.
    private func sizeAndStream(of request: ServiceRequest) async throws -> (size: Int, stream: Int) {
        let harness = try await HTTP2Harness()
        let size = try prepared(request, harness).http2Head.listSize
        let frame = try await roundTrip(request, harness)
        await harness.finish()
        return (size, frame.stream)
    }

    @Test("A list of fields that is as large as the peer's limit is sent")
    func listSize() async throws {
        let request = try request("/list", "v", 300)
        let (size, _) = try await sizeAndStream(of: request)
        let harness = try await HTTP2Harness(settings: [(6, UInt32(size))])
        let call = try await harness.send(request)
        let frame = try #require(try await harness.frames().first)
        let fields = try harness.fields(of: frame)
        #expect(fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 32 } == size)
        try await harness.reply(on: frame.stream)
        #expect(try await call.task.value.status == .ok)
        await harness.finish()
    }

    @Test("A list of fields above the peer's limit is not sent; the error has both sizes, and the stream stays unused")
    func listSizeAboveLimit() async throws {
        let request = try request("/list", "v", 300)
        let (size, stream) = try await sizeAndStream(of: request)
        let harness = try await HTTP2Harness(settings: [(6, UInt32(size - 1))])
        let call = try await harness.send(request)
        let error = try #require(await call.error)
        #expect(error.code == .invalidRequest)
        #expect(error.progress == .neverSent)
        #expect(error.message.contains("\(size) bytes"))
        #expect(error.message.contains("\(size - 1)"))
        #expect(try await harness.frames().isEmpty)
        #expect(harness.entries().contains("returned unused"))
        let next = try await harness.send(.get("http://a.example/"))
        let head = try #require(try await harness.frames().first { $0.kind == .headers })
        #expect(head.stream == stream)
        try await harness.reply(on: head.stream)
        #expect(try await next.task.value.status == .ok)
        await harness.finish()
    }

    @Test(
        "trailers that are too large fail their request alone, also when they wait behind a window",
        arguments: [true, false])
    func trailers(waitsForWindow: Bool) async throws {
        let settings: [(UInt16, UInt32)] = waitsForWindow ? [(6, 16_384), (4, 0)] : [(6, 16_384)]
        let harness = try await HTTP2Harness(settings: settings)
        let large = String(repeating: "~", count: 20_000)
        let body = RequestBody.stream(AsyncStream(ByteBuffer(string: "body"))).trailers {
            [try #require(Self.name): large, try #require(HTTPField.Name("x-user")): "alice"]
        }
        let upload = try await harness.send(
            ServiceRequest(method: .post, "http://a.example/upload", body: body), streamed: ByteBuffer(string: "body"))
        var frames: [HTTP2WireFrame] = []
        if waitsForWindow {
            frames = try await harness.frames()
            try await trailersWait(harness)
            try await harness.receive(.windowUpdate(on: 1, by: 1000))
        }
        let error = try #require(await upload.error)
        #expect(error.code == .invalidRequest, "\(error)")
        #expect(error.message.contains("trailers"), "\(error)")
        frames += try await harness.frames()
        #expect(frames.filter { $0.kind == .headers }.count == 1)
        #expect(frames.contains { $0.kind == .reset && $0.stream == 1 })
        for frame in frames where frame.kind == .headers { _ = try harness.fields(of: frame) }
        // Another user's request on the same connection arrives with its own fields.
        var other = ServiceRequest.get("http://a.example/bob")
        other.fields[try #require(HTTPField.Name("x-user"))] = "bob"
        try await roundTrip(other, harness)
        await harness.finish()
    }

    private func trailersWait(_ harness: HTTP2Harness) async throws {
        try await eventually("the trailers are waiting") {
            try await harness.onLoop {
                harness.connection.table.contains {
                    if case .withTrailers = $0.sending.ending { true } else { false }
                }
            }
        }
    }

    @Test("trailers of 40 KiB arrive after all of the body, in several frames", arguments: [true, false])
    func trailersAfterBody(isBlocked: Bool) async throws {
        let harness = try await HTTP2Harness(settings: [(4, 2)])
        let large = String(repeating: "\\", count: 40_000)
        let body = RequestBody.stream(AsyncStream(ByteBuffer(string: "body"))).trailers {
            [try #require(Self.name): large]
        }
        let upload = try await harness.send(
            ServiceRequest(method: .post, "http://a.example/upload", body: body), streamed: ByteBuffer(string: "body"))
        try await trailersWait(harness)
        var frames = try await harness.frames()
        if isBlocked { try await harness.setWritable(false) }
        try await harness.receive(.windowUpdate(on: 1, by: 1000))
        frames += try await harness.frames()
        if isBlocked {
            #expect(!frames.contains { $0.endsStream })
            try await harness.setWritable(true)
            frames += try await harness.frames()
        }
        let shape = frames.filter { $0.stream == 1 }.map {
            "\($0.kind.code) \($0.payload.readableBytes) \($0.endsStream)"
        }
        #expect(shape.dropFirst().dropLast() == ["0 2 false", "0 2 false"])
        let last = try #require(frames.last { $0.stream == 1 })
        #expect(last.kind == .headers)
        #expect(last.endsStream)
        #expect(last.pieces.count == 3)
        for frame in frames where frame.kind == .headers {
            let fields = try harness.fields(of: frame)
            if frame.endsStream { #expect(fields["x-large"] == large) }
        }
        try await harness.reply(on: 1)
        #expect(try await upload.task.value.status == .ok)
        await harness.finish()
    }
}

extension AsyncStream {
    /// A stream of these elements, and no more.
    fileprivate init(_ elements: Element...) where Element: Sendable {
        self.init { continuation in
            for element in elements { continuation.yield(element) }
            continuation.finish()
        }
    }
}
