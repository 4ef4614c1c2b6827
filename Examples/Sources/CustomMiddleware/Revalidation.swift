import Bowline
import Synchronization

/// Keeps the last response of each URL, and asks the service only whether it has changed (`ETag`, RFC 9110 §13.1.2).
///
/// A `perCall` middleware: it sees the caller's request and the caller's response once per call, regardless of the
/// number of attempts.
final class Revalidation: ServiceMiddleware {
    private struct Kept: Sendable {
        let tag: String
        let fields: HTTPFields
        let bytes: ByteBuffer
    }

    private let limit: Int
    private let kept = Mutex<[String: Kept]>([:])

    /// - Parameter limit: The maximum size of a body, in bytes, from 0. A larger body fails the call.
    init(limit: Int = 1 << 20) {
        self.limit = limit
    }

    func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse {
        guard request.method == .get, let url = request.url.map({ "\($0)?\($0.query ?? "")" }) else {
            return try await next(request, context: context)
        }
        var request = request
        let known = kept.withLock { $0[url] }
        if let known { request.fields[.ifNoneMatch] = known.tag }

        var response = try await next(request, context: context)
        if let known, response.status == .notModified {
            response.status = .ok
            response.fields = known.fields
            response.body = ResponseBody(known.bytes)
        } else if response.status == .ok, let tag = response.fields[.eTag] {
            // A middleware that does not pass the body on owns it. It reads the body, and passes on a new one with the
            // same bytes.
            let bytes = try await response.body.collect(upTo: limit)
            kept.withLock { $0[url] = Kept(tag: tag, fields: response.fields, bytes: bytes) }
            response.body = ResponseBody(bytes)
        }
        return response
    }
}
