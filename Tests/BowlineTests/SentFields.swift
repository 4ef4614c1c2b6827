import Bowline
import BowlineTesting
import Testing

/// Keeps the fields of each attempt as they go to the transport, and compares them with what a server has decoded: a client
/// whose compression table differs from its peer's sends other fields than it was given, and statuses do not show it.
///
/// Each attempt gets a number, and a field that is as long as the number says, so that the tables are never at rest.
final class SentFields: ServiceMiddleware {
    private static let number = name("x-sent-number")
    private static let filler = name("x-sent-filler")

    private let kept = Guarded<[String: ServiceRequest]>([:])

    private static func name(_ name: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(name) else { preconditionFailure("no field's name") }
        return name
    }

    func intercept(_ request: ServiceRequest, context: RequestContext, next: Next) async throws -> ServiceResponse {
        var request = request
        request = kept.withLock { kept in
            let number = kept.count + 1
            request.fields[Self.number] = "\(number)"
            request.fields[Self.filler] = String(repeating: "\(number % 10)", count: number * 37 % 300)
            kept["\(number)"] = request
            return request
        }
        return try await next(request, context: context)
    }

    /// Compares whole field lists, pseudo-fields, names, values and order.
    func compare(with received: [RecordedRequest], sourceLocation: SourceLocation = #_sourceLocation) {
        for received in received where received.stream != nil {
            guard let number = received[Self.number], let sent = kept.withLock({ $0[number] }) else {
                Issue.record("a request arrived that was not sent: \(received.head)", sourceLocation: sourceLocation)
                continue
            }
            #expect(Self.lines(of: received) == Self.lines(of: sent), sourceLocation: sourceLocation)
        }
    }

    /// What the transport adds about the body is none of the sender's fields.
    private static func lines(of request: RecordedRequest) -> [String] {
        request.head.split(separator: "\r\n").map { String($0) }
            .filter { !$0.hasPrefix("content-length: ") && !$0.hasPrefix("expect: ") }
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
}
