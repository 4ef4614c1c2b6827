import Bowline
import BowlineTesting
import NIOCore
import Testing

/// Keeps each attempt as it goes to the transport, and compares it with the request that a server received. If a
/// client's compression table differs from its peer's, other fields arrive than were sent, and statuses do not show it.
///
/// Each attempt gets a number, and a field whose length depends on the number, so that the tables change all the time.
final class SentFields: ServiceMiddleware {
    private static let number = name("x-sent-number")
    private static let filler = name("x-sent-filler")

    private let isMarking: Bool
    private let kept = Guarded<[ServiceRequest]>([])
    private let streams = Guarded<[(body: RequestBody, bytes: ByteBuffer)]>([])

    /// A request as a server received it.
    private struct Arrival {
        let lines: [String]
        /// Only the first bytes of a long body.
        let body: ByteBuffer
        let bodyLength: Int
        let isComplete: Bool
    }

    /// - Parameter isMarking: false: attempts are sent unchanged, and a received request must equal one of them.
    init(isMarking: Bool = true) {
        self.isMarking = isMarking
    }

    private static func name(_ name: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(name) else { preconditionFailure("no field's name") }
        return name
    }

    func intercept(_ request: ServiceRequest, context: RequestContext, next: Next) async throws -> ServiceResponse {
        var request = request
        request = kept.withLock { kept in
            if isMarking {
                let number = kept.count + 1
                request.fields[Self.number] = "\(number)"
                request.fields[Self.filler] = String(repeating: "\(number % 10)", count: number * 37 % 300)
            }
            kept.append(request)
            return request
        }
        return try await next(request, context: context)
    }

    /// Registers the content of a `.stream`, which cannot be read again; without it the comparison fails. The content
    /// of a `.replayable` is read again.
    func note(_ stream: RequestBody, yields bytes: ByteBuffer) {
        precondition(stream.isStream, "all but streams are read again")
        streams.withLock { $0.append((stream, bytes)) }
    }

    /// Compares the requests that came over HTTP/2: whole field lists, pseudo-fields, names, values and order, and
    /// bodies.
    func compare(with received: [RecordedRequest], sourceLocation: SourceLocation = #_sourceLocation) async {
        for received in received where received.stream != nil {
            let lines = received.head.split(separator: "\r\n").map { String($0) }
            await compare(
                Arrival(
                    lines: Self.sentLines(lines), body: received.body, bodyLength: received.bodyLength,
                    isComplete: received.isComplete), sourceLocation)
        }
    }

    /// Compares the requests that scripts have read frame by frame, up to the last frame read.
    func compare(with received: [RawHTTP2Request], sourceLocation: SourceLocation = #_sourceLocation) async {
        for received in received {
            let lines = received.fields.map { "\($0.name): \($0.value)" }
            await compare(
                Arrival(
                    lines: Self.sentLines(lines), body: received.body, bodyLength: received.bodyLength,
                    isComplete: received.isComplete), sourceLocation)
        }
    }

    private func compare(_ arrival: Arrival, _ sourceLocation: SourceLocation) async {
        guard isMarking else {
            var isSent = false
            for sent in kept.withLock({ $0 }) where !isSent && Self.lines(of: sent) == arrival.lines {
                isSent = await isBody(of: arrival, from: sent.body, sourceLocation)
            }
            #expect(
                isSent, "was not sent with \(arrival.bodyLength) such bytes: \(arrival.lines)",
                sourceLocation: sourceLocation)
            return
        }
        let prefix = "\(Self.number.canonicalName): "
        let number = arrival.lines.first { $0.hasPrefix(prefix) }.flatMap { Int($0.dropFirst(prefix.count)) }
        guard let number, let sent = attempt(number) else {
            Issue.record("a request arrived that was not sent: \(arrival.lines)", sourceLocation: sourceLocation)
            return
        }
        #expect(arrival.lines == Self.lines(of: sent), sourceLocation: sourceLocation)
        let isBody = await isBody(of: arrival, from: sent.body, sourceLocation)
        #expect(
            isBody, "\(arrival.bodyLength) bytes of the body of \(arrival.lines)", sourceLocation: sourceLocation)
    }

    private func attempt(_ number: Int) -> ServiceRequest? {
        kept.withLock { $0.indices.contains(number - 1) ? $0[number - 1] : nil }
    }

    /// The fields about the body that the transport adds are not the sender's.
    private static func sentLines(_ lines: [String]) -> [String] {
        lines.filter { !$0.hasPrefix("content-length: ") && !$0.hasPrefix("expect: ") }
    }

    private static func lines(of request: ServiceRequest) -> [String] {
        guard let url = request.url else { return [] }
        var lines = [
            ":method: \(request.method.rawValue)", ":scheme: \(url.origin.scheme.rawValue)",
            ":authority: \(url.origin.authority)", ":path: \(url.target)",
        ]
        for field in request.fields {
            let name = field.name.canonicalName
            switch name {
            case "host", "connection", "content-length", "expect": continue
            case "cookie":
                lines += field.value.split(separator: ";").map { "cookie: \($0.drop { $0 == " " })" }
            default: lines.append("\(name): \(field.value)")
            }
        }
        return lines
    }

    /// Whether the received body is the one that was sent, or its beginning if the request did not come whole.
    private func isBody(of arrival: Arrival, from sent: RequestBody, _ sourceLocation: SourceLocation) async -> Bool {
        do {
            let bytes = try await bytes(of: sent, for: arrival)
            let isLong = arrival.bodyLength > bytes.readableBytes
            let isShort = arrival.isComplete && arrival.bodyLength < bytes.readableBytes
            let beginning = bytes.getSlice(at: bytes.readerIndex, length: arrival.body.readableBytes)
            return !isLong && !isShort && beginning == arrival.body
        } catch {
            Issue.record(error, "the body of \(arrival.lines)", sourceLocation: sourceLocation)
            return false
        }
    }

    private struct UnknownStream: Error {}

    /// The first bytes of the body, up to the number to compare: a sequence may be endless, or wait for more to arrive.
    private func bytes(of body: RequestBody, for arrival: Arrival) async throws -> ByteBuffer {
        if let bytes = body.bytes { return bytes }
        guard !body.isStream else {
            let known = streams.withLock { $0.first { $0.body.isSameStream(as: body) } }
            guard let known else { throw UnknownStream() }
            return known.bytes
        }
        // To the end if the request came whole.
        let count = arrival.bodyLength + (arrival.isComplete ? 1 : 0)
        var bytes = ByteBuffer()
        var chunks = body.chunks.makeAsyncIterator()
        while bytes.readableBytes < count, let chunk = try await chunks.next() { bytes.writeImmutableBuffer(chunk) }
        return bytes
    }
}

/// Runs `body` with a client that speaks only HTTP/2. Then compares the requests that it sent with those that the server's
/// scripts have read frame by frame.
func withComparedHTTP2Client(
    _ server: LoopbackServer, configure: (inout ClientConfiguration) throws -> Void = { _ in },
    sourceLocation: SourceLocation = #_sourceLocation,
    _ body: (ServiceClient, SentFields) async throws -> Void
) async throws {
    let sent = SentFields(isMarking: false)
    try await withServiceClient(server.baseURL) {
        $0.http2.negotiation = .http2Only
        $0.middleware.perAttempt = [sent]
        try configure(&$0)
    } _: { client in
        try await body(client, sent)
    }
    await sent.compare(with: server.rawRequests, sourceLocation: sourceLocation)
}
