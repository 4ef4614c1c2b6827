import Bowline
import BowlineTesting
import NIOCore
import Testing

/// Keeps each attempt as it goes to the transport, and compares it with what a server has received: a client whose compression
/// table differs from its peer's sends other fields than it was given, and statuses do not show it.
///
/// Each attempt gets a number, and a field that is as long as the number says, so that the tables are never at rest.
final class SentFields: ServiceMiddleware {
    private static let number = name("x-sent-number")
    private static let filler = name("x-sent-filler")

    private let isMarking: Bool
    private let kept = Guarded<[ServiceRequest]>([])

    /// - Parameter isMarking: false: attempts go out as they are, and a request that arrives has to be like one of them.
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

    /// Compares the requests that came over HTTP/2: whole field lists, pseudo-fields, names, values and order, and bodies. A body
    /// from a sequence cannot be read again; only its length is compared, where it is known.
    func compare(with received: [RecordedRequest], sourceLocation: SourceLocation = #_sourceLocation) {
        for received in received where received.stream != nil {
            let lines = Self.lines(of: received)
            guard isMarking else {
                let like = kept.withLock { $0 }.filter { Self.lines(of: $0) == lines }
                #expect(
                    like.contains { Self.isBody(of: received, from: $0.body) },
                    "a request arrived that was not sent: \(received.head)", sourceLocation: sourceLocation)
                continue
            }
            guard let number = received[Self.number].flatMap({ Int($0) }), let sent = attempt(number) else {
                Issue.record("a request arrived that was not sent: \(received.head)", sourceLocation: sourceLocation)
                continue
            }
            #expect(lines == Self.lines(of: sent), sourceLocation: sourceLocation)
            #expect(
                Self.isBody(of: received, from: sent.body), "\(received.bodyLength) bytes of the body of \(lines)",
                sourceLocation: sourceLocation)
        }
    }

    /// Compares the heads that the raw peers of a server have decoded. Trailers are passed over.
    func compareHeads(_ sections: [[HTTP2WireField]], sourceLocation: SourceLocation = #_sourceLocation) {
        let sent = kept.withLock { $0 }.map { Self.lines(of: $0) }
        for section in sections where section[":method"] != nil {
            let lines = Self.sentLines(section.map { "\($0.name): \($0.value)" })
            #expect(
                sent.contains(lines), "a request arrived that was not sent: \(lines)", sourceLocation: sourceLocation)
        }
    }

    private func attempt(_ number: Int) -> ServiceRequest? {
        kept.withLock { $0.indices.contains(number - 1) ? $0[number - 1] : nil }
    }

    private static func lines(of request: RecordedRequest) -> [String] {
        sentLines(request.head.split(separator: "\r\n").map { String($0) })
    }

    /// What the transport adds about the body is none of the sender's fields.
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

    /// Whether what has come is the body that was sent, or the beginning of it where the request did not come whole.
    private static func isBody(of received: RecordedRequest, from sent: RequestBody) -> Bool {
        let bytes: ByteBuffer
        switch sent.kind {
        case .none: bytes = ByteBuffer()
        case .bytes(let buffer): bytes = buffer
        case .factory, .emptyFile, .stream:
            return !received.isComplete || received.bodyLength == sent.length ?? received.bodyLength
        }
        let isLong = received.bodyLength > bytes.readableBytes
        let isShort = received.isComplete && received.bodyLength < bytes.readableBytes
        // The server keeps the first bytes only.
        return !isLong && !isShort && bytes.readableBytesView.starts(with: received.body.readableBytesView)
    }
}
