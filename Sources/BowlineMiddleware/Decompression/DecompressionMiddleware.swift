package import BowlineCore

/// Offers gzip and deflate, and decodes the body of the response that comes of it (RFC 9110 §8.4).
///
/// Stands outside redirects and retries: the bodies that those read off or let go are never decoded.
///
/// A body is left as it came, with its fields, where there is nothing to decode (HEAD, 204, 304, an empty body), where
/// it cannot be decoded by itself (206), and where one of its codings is unknown or there are too many. Else
/// `Content-Encoding` and `Content-Length` are taken from the response, because they say nothing of the body that the
/// caller reads, and `facts.removedCodings` names what was taken off.
package struct DecompressionMiddleware: ReactiveMiddleware {
    private let options: DecompressionOptions
    private let usualFields: HTTPFields
    private let offerBesideUsualFields: HTTPFields

    /// - Parameters:
    ///   - options: The client's; a request's own stand over them.
    ///   - usualFields: The collection that most requests come with; without ours.
    package init(options: DecompressionOptions, usualFields: HTTPFields = [:]) {
        self.options = options
        self.usualFields = usualFields
        offerBesideUsualFields = usualFields + [Self.offer]
    }

    package func prepare(_ request: inout ServiceRequest, context: RequestContext) {
        guard options(for: request).isEnabled else { return }
        // Most requests have no field of their own: they share one collection.
        if request.fields.isTriviallyIdentical(to: usualFields) {
            request.fields = offerBesideUsualFields
        } else if Self.mayOffer(request) {
            request.fields.append(Self.offer)
        }
    }

    package func passes(_ response: ServiceResponse, to request: ServiceRequest) -> Bool {
        !options(for: request).isEnabled || !response.receivedFields.contains("content-encoding")
    }

    package func react(
        to outcome: Result<ServiceResponse, any Error>, sentBefore: Int, request: ServiceRequest,
        context: RequestContext,
        next: Next
    ) async throws -> ServiceResponse {
        var response = try outcome.get()
        Self.decode(&response, of: request, options: options(for: request))
        return response
    }

    private func options(for request: ServiceRequest) -> DecompressionOptions {
        request.ownOptions?.value.decompression.resolved(over: options) ?? options
    }

    /// What the caller says itself stands. A part of a coded body could not be decoded, so for a range nothing is
    /// offered.
    private static func mayOffer(_ request: ServiceRequest) -> Bool {
        !request.fields.contains(.acceptEncoding) && !request.fields.contains(.range)
    }

    private static let offer = HTTPField(name: .acceptEncoding, value: "gzip, deflate")

    private static func decode(
        _ response: inout ServiceResponse, of request: ServiceRequest, options: DecompressionOptions
    ) {
        guard hasDecodableContent(response, to: request.method), let raw = response.body.source,
            let codings = ContentCoding.applied(in: response.receivedFields, limit: options.maximumLayers)
        else { return }
        response.receivedFields = response.receivedFields.removing(.contentEncoding, .contentLength)
        response.facts.removedCodings = codings.map(\.rawValue)
        response.body = ResponseBody(
            source: DecodedBodySource(
                raw, codings: codings, options: options,
                response: DecodedBodySource.Circumstances(facts: response.facts, url: request.url)
            )
        )
    }

    private static func hasDecodableContent(_ response: ServiceResponse, to method: HTTPRequest.Method) -> Bool {
        guard method != .head, method != .connect, response.body.announcedLength != 0 else { return false }
        return switch response.status.code {
        case ..<200, 204, 206, 304: false
        default: true
        }
    }
}
