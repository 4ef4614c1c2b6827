import BowlineCore
import BowlineTesting
import NIOCore
import NIOHPACK
import Testing

@testable import BowlineTransport

@Suite("Field sections that are too large for the peer (H2)", .timeLimit(.minutes(1)))
struct HTTP2LargeSectionTests {
    private static let name = HTTPField.Name("x-large")
    /// Which characters a value is made of, and how many bits each takes.
    static let characters = ["0": 5, "a": 5, "{": 15, "\\": 19, "é": 41]

    private func request(
        _ path: String, _ character: String, _ count: Int, in name: String = "x-large"
    ) throws -> ServiceRequest {
        var request = ServiceRequest.get("http://a.example\(path)")
        request.fields[try #require(HTTPField.Name(name))] = String(repeating: character, count: count)
        return request
    }

    @Test(
        "a section of exactly the peer's frame size goes through, one byte more is refused, and nothing else changes",
        arguments: [false, true], characters.keys.sorted())
    func border(isTableFull: Bool, character: String) async throws {
        let harness = try await HTTP2Harness()
        if isTableFull {
            // Forty fields of a hundred bytes: more than the table holds, so that names and values come and go in it.
            for number in 0..<40 {
                var request = ServiceRequest.get("http://a.example/fill")
                request.fields[try #require(HTTPField.Name("x-fill-\(number)"))] = String(repeating: "f", count: 100)
                try await roundTrip(request, harness)
            }
        }
        let bits = try #require(Self.characters[character])
        // This one is never put into the table, which so stays full.
        let name = isTableFull ? "authorization" : "x-large"
        func size(_ count: Int) async throws -> Int {
            let headers = try prepared(try request("/border", character, count, in: name), harness).makeHTTP2Fields()
            return try #require(try await harness.onLoop { harness.connection.encodedSize(of: headers) })
        }
        // The largest that fits, found by halves.
        var (fits, tooMany) = (0, 16_384 * 8 / bits + 1)
        while tooMany - fits > 1 {
            let middle = (fits + tooMany) / 2
            if try await size(middle) <= 16_384 { fits = middle } else { tooMany = middle }
        }
        let refusedSize = try await size(tooMany)
        let refused = try await harness.send(try request("/border", character, tooMany, in: name))
        let error = try #require(await refused.error)
        #expect(error.code == .invalidRequest && error.progress == .neverSent)
        #expect(error.message.contains("\(refusedSize) bytes") && error.message.contains("16384"), "\(error.message)")
        #expect(try await harness.frames().isEmpty)

        let largest = try await size(fits)
        #expect(largest <= 16_384 && largest > 16_384 - (bits + 7) / 8 - 1)
        let taken = try await harness.send(try request("/border", character, fits, in: name))
        let head = try #require(try await harness.frames().first { $0.kind == .headers })
        #expect(head.payload.readableBytes == largest)
        #expect(try harness.fields(of: head)[name]?.count == fits)
        try await harness.reply(on: head.stream)
        #expect(try await taken.task.value.status == .ok)
        // The peer's table and ours still agree.
        try await roundTrip(try request("/after", "z", 3), harness)
        await harness.finish()
    }

    private func prepared(_ request: ServiceRequest, _ harness: HTTP2Harness) throws -> PreparedRequest {
        try harness.makeExchange(request).request
    }

    private func roundTrip(_ request: ServiceRequest, _ harness: HTTP2Harness) async throws {
        let call = try await harness.send(request)
        let frame = try #require(try await harness.frames().first { $0.kind == .headers })
        let fields = try harness.fields(of: frame)
        for field in request.fields { #expect(fields[field.name.canonicalName] == field.value) }
        try await harness.reply(on: frame.stream)
        _ = try await call.task.value
    }

    @Test("a section of 16,384 bytes to the byte goes through")
    func exact() async throws {
        let harness = try await HTTP2Harness()
        // Each zero takes five bits: eight steps are five bytes, so that one of them makes the section full to the byte.
        var count = 26_180
        while count > 26_000 {
            let headers = try prepared(try request("/exact", "0", count), harness).makeHTTP2Fields()
            let size = try #require(try await harness.onLoop { harness.connection.encodedSize(of: headers) })
            if size == 16_384 { break }
            count -= max(1, (size - 16_384) * 8 / 5)
        }
        let call = try await harness.send(try request("/exact", "0", count))
        let frame = try #require(try await harness.frames().first { $0.kind == .headers })
        #expect(frame.payload.readableBytes == 16_384)
        try await harness.reply(on: frame.stream)
        #expect(try await call.task.value.status == .ok)
        await harness.finish()
    }

    @Test("a peer that takes larger frames gets larger sections, until it takes smaller ones again")
    func frameSizeChanges() async throws {
        let harness = try await HTTP2Harness(settings: [(5, 100_000)])
        try await roundTrip(try request("/large", "0", 60_000), harness)
        try await harness.receive(.settings([(5, 16_384)]))
        _ = try await harness.frames()
        let refused = try await harness.send(try request("/large", "0", 60_001))
        #expect(await refused.error?.code == .invalidRequest)
        try await roundTrip(try request("/small", "0", 10), harness)
        await harness.finish()
    }

    @Test("the peer's limit for the list of fields is exact, and the refusal has both sizes", arguments: [0, 1])
    func listSize(excess: Int) async throws {
        let plain = try await HTTP2Harness()
        let request = try request("/list", "v", 300)
        let size = HTTP2RequestHead.listSize(of: try prepared(request, plain).makeHTTP2Fields())
        await plain.finish()
        let harness = try await HTTP2Harness(settings: [(6, UInt32(size - excess))])
        let call = try await harness.send(request)
        if excess == 0 {
            let frame = try #require(try await harness.frames().first)
            try await harness.reply(on: frame.stream)
            #expect(try await call.task.value.status == .ok)
        } else {
            let error = try #require(await call.error)
            #expect(error.code == .invalidRequest && error.progress == .neverSent)
            #expect(error.message.contains("\(size) bytes") && error.message.contains("\(size - 1)"))
            #expect(try await harness.frames().isEmpty)
            #expect(harness.entries().contains("returned unused"))
        }
        await harness.finish()
    }

    @Test("the size of a section is known to the byte: the frame handler's encoder can be copied, table included")
    func encoderCanBeCopied() async throws {
        let harness = try await HTTP2Harness(settings: [(1, 100)])
        for number in 0..<5 {
            let request = try request("/\(number % 2)", "v", 30 * number)
            let headers = try prepared(request, harness).makeHTTP2Fields()
            let size = try await harness.onLoop { harness.connection.encodedSize(of: headers) }
            let call = try await harness.send(request)
            let frame = try #require(try await harness.frames().first { $0.kind == .headers })
            #expect(size == frame.payload.readableBytes, "request \(number)")
            _ = try harness.fields(of: frame)
            try await harness.reply(on: frame.stream)
            _ = try await call.task.value
        }
        await harness.finish()
    }

    @Test(
        "trailers that are too large fail their request alone, also when they wait behind a window",
        arguments: [true, false])
    func trailers(waitsForWindow: Bool) async throws {
        let harness = try await HTTP2Harness(settings: waitsForWindow ? [(4, 0)] : [])
        let large = String(repeating: "~", count: 20_000)
        let body = RequestBody.stream(AsyncStream(ByteBuffer(string: "body"))).trailers {
            [try #require(Self.name): large, try #require(HTTPField.Name("x-user")): "alice"]
        }
        let upload = try await harness.send(ServiceRequest(method: .post, "http://a.example/upload", body: body))
        var frames: [HTTP2WireFrame] = []
        if waitsForWindow {
            frames = try await harness.frames()
            try await eventually("the trailers are waiting") {
                try await harness.onLoop { harness.connection.table.streams.contains { $0.unsentTrailers != nil } }
            }
            try await harness.receive(.windowUpdate(on: 1, by: 1000))
        }
        let error = try #require(await upload.error)
        #expect(error.code == .invalidRequest && error.message.contains("trailers"), "\(error)")
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

    @Test("trailers that the peer takes arrive after all of the body", arguments: [true, false])
    func trailersAfterBody(isBlocked: Bool) async throws {
        let harness = try await HTTP2Harness(settings: [(4, 2)])
        let body = RequestBody.stream(AsyncStream(ByteBuffer(string: "body"))).trailers {
            [try #require(HTTPField.Name("x-sum")): "1"]
        }
        let upload = try await harness.send(ServiceRequest(method: .post, "http://a.example/upload", body: body))
        try await eventually("the trailers are waiting") {
            try await harness.onLoop { harness.connection.table.streams.contains { $0.unsentTrailers != nil } }
        }
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
        #expect(frames.last { $0.stream == 1 }.map { $0.kind == .headers && $0.endsStream } == true)
        try await harness.reply(on: 1)
        #expect(try await upload.task.value.status == .ok)
        await harness.finish()
    }

    /// A harness that takes the peer's frames for larger than its frame handler does, so that the encoder fails.
    private func failingEncoder() async throws -> HTTP2Harness {
        let harness = try await HTTP2Harness()
        try await harness.onLoop { [connection = harness.connection] in
            connection.settings.maximumFrameSize = 1_000_000
        }
        return harness
    }

    @Test(
        "should the encoder fail, its request is not declined; others are cut off, or declined if not written")
    func encoderFails() async throws {
        let harness = try await failingEncoder()
        let written = try await harness.send(.get("http://a.example/written"))
        _ = try await harness.sections()
        try await harness.setWritable(false)
        let failing = try await harness.send(try request("/large", "~", 20_000))
        let held = try await harness.send(.get("http://a.example/held"))
        _ = harness.entries()
        try await harness.setWritable(true)

        let error = try #require(await failing.error)
        #expect(error.code == .invalidRequest && error.progress == .neverSent)
        let failure = try #require(error.underlying as? HTTP2HeadersNotWritten)
        #expect(failure.cause != nil)
        #expect(error.message.contains("fields could not be written"), "\(error.message)")
        var policy = ResendPolicy()
        let isResent = policy.allows(failing.exchange.request, after: error, wasPooled: true)
        #expect(!isResent)

        let cutOff = try #require(await written.error)
        #expect(cutOff.code == .connectionClosed && cutOff.progress == .ambiguous)
        #expect(cutOff.underlying is HTTP2HeadersNotWritten)
        #expect(SiblingSuspicion(cutOff, wasPooled: true, isMultiplexed: true, waited: .seconds(1)) == .none)
        #expect((await held.error?.underlying as? HTTP2Declined) != nil)
        #expect(harness.entries().contains("closed transportError"))
        #expect(try await harness.frames().allSatisfy { $0.kind != .headers && $0.kind != .reset })
        await harness.finish()
    }

    @Test("should the encoder fail on trailers, their request is told so, with how far it had got")
    func encoderFailsOnTrailers() async throws {
        let harness = try await failingEncoder()
        let large = String(repeating: "~", count: 20_000)
        let body = RequestBody.stream(AsyncStream(ByteBuffer(string: "body"))).trailers {
            [try #require(Self.name): large]
        }
        let upload = try await harness.send(ServiceRequest(method: .put, "http://a.example/upload", body: body))
        let error = try #require(await upload.error)
        #expect(error.code == .invalidRequest && error.progress == .ambiguous)
        #expect(error.underlying is HTTP2HeadersNotWritten && error.message.contains("trailers could not be written"))
        #expect(harness.entries().contains("closed transportError"))
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
