import BowlineCall
import BowlineCore
import BowlineTesting
import NIOCore

/// A body from a simulated network that counts the pulls.
final class SpiedBody: ResponseBodySource {
    struct Seen: Sendable {
        var pulls = 0
        var abandonments = 0
        var isClaimed = false
        var observers = 0
    }

    private let make: @Sendable (Int) throws -> ByteBuffer?
    private let state = Guarded(Seen())
    let trailers: ReceivedFields?
    let announcedLength: Int?
    let attempt: ResponseAttempt? = nil

    /// - Parameter make: the chunk with this number, from 0; nil at the end.
    init(
        announcedLength: Int? = nil, trailers: HTTPFields? = nil,
        _ make: @escaping @Sendable (Int) throws -> ByteBuffer?
    ) {
        self.make = make
        self.announcedLength = announcedLength
        self.trailers = trailers.map(ReceivedFields.init)
    }

    /// These bytes in pieces of `size`.
    convenience init(_ bytes: [UInt8], inPiecesOf size: Int = .max, trailers: HTTPFields? = nil) {
        self.init(trailers: trailers) { number in
            let (start, overflowed) = number.multipliedReportingOverflow(by: size)
            guard !overflowed, start < bytes.count else { return nil }
            return ByteBuffer(bytes: bytes[start..<(start + min(size, bytes.count - start))])
        }
    }

    var seen: Seen { state.withLock { $0 } }

    func beginReading() throws {
        try state.withLock { seen in
            guard !seen.isClaimed else { throw ServiceError(.bodyAlreadyConsumed, "read twice") }
            seen.isClaimed = true
        }
    }

    func waitForNext() async throws -> ByteBuffer? {
        let number = state.withLock { seen in
            seen.pulls += 1
            return seen.pulls - 1
        }
        return try make(number)
    }

    func abandon() { state.withLock { $0.abandonments += 1 } }
    func observeEnd(_ observer: any ResponseBodyObserver) { state.withLock { $0.observers += 1 } }
}

/// A coded response and its path through the middleware.
struct CodedResponse: Sendable {
    var status: HTTPResponse.Status = .ok
    var fields: HTTPFields = [:]
    var body: ResponseBody
    var facts = ResponseFacts()

    init(_ coding: String, _ body: any ResponseBodySource) {
        fields = [.contentEncoding: coding]
        self.body = ResponseBody(source: body)
    }

    init(_ coding: String, _ bytes: [UInt8], inPiecesOf size: Int = .max) {
        self.init(coding, SpiedBody(bytes, inPiecesOf: size))
        fields[.contentLength] = String(bytes.count)
    }

    /// The response that the caller gets.
    func received(
        by request: ServiceRequest = .get("/coded"), options: DecompressionOptions = DecompressionOptions()
    ) async throws -> ServiceResponse {
        let stub = StubTransport()
        stub.on(nil, "/coded") { [self] _ in
            .respond(ServiceResponse(status: status, fields: fields, body: body, facts: facts))
        }
        let pipeline = try TestRoad { $0.decompression = options }.over(stub)
        return try await pipeline(request, context: RequestContext())
    }
}

extension ResponseBody {
    /// Everything that was read, and how it ended.
    func readAll() async -> (bytes: [UInt8], error: (any Error)?) {
        var bytes: [UInt8] = []
        do {
            for try await chunk in self { bytes += chunk.readableBytesView }
            return (bytes, nil)
        } catch {
            return (bytes, error)
        }
    }
}

extension DecompressionOptions {
    /// The default options with these changes.
    static func limits(bytes: Int? = nil, ratio: Int? = nil) -> DecompressionOptions {
        var options = DecompressionOptions()
        options.maximumBytes = bytes
        options.maximumRatio = ratio
        return options
    }
}
