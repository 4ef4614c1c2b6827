internal import BowlineCore

/// Offers gzip and deflate, and decodes the body of the response (RFC 9110 §8.4).
///
/// Runs once per call: the bodies of responses that a retry or a redirect replaces are never decoded.
///
/// The body and its fields stay as received if there is nothing to decode (HEAD, 204, 304, an empty body), if the body
/// is only a part (206), if a coding is unknown, or if there are too many codings. Otherwise `Content-Encoding` and
/// `Content-Length` are removed from the response, because they do not describe the body that the caller reads.
/// `facts.removedCodings` names the removed codings.
struct ResponseDecompression: Sendable {
    private let options: DecompressionOptions
    private let usualFields: HTTPFields
    private let offerBesideUsualFields: HTTPFields

    /// - Parameters:
    ///   - options: The client's options; a request's own options take precedence.
    ///   - usualFields: The fields that most requests have, without `Accept-Encoding`.
    init(options: DecompressionOptions, usualFields: HTTPFields = [:]) {
        self.options = options
        self.usualFields = usualFields
        offerBesideUsualFields = usualFields + [Self.offer]
    }

    /// Adds `Accept-Encoding`, unless the request has that field or requests a range.
    func offer(in request: inout ServiceRequest) {
        guard options(for: request).isEnabled else { return }
        // Most requests have no field of their own, and share the collection `usualFields`.
        if request.fields.isTriviallyIdentical(to: usualFields) {
            request.fields = offerBesideUsualFields
        } else if Self.mayOffer(request) {
            request.fields.append(Self.offer)
        }
    }

    /// Makes the response's body decode itself while it is read, if the body has a coding.
    func decode(_ response: inout ServiceResponse, of request: ServiceRequest) {
        guard response.receivedFields.contains("content-encoding") else { return }
        let options = options(for: request)
        guard options.isEnabled else { return }
        Self.decode(&response, of: request, options: options)
    }

    private func options(for request: ServiceRequest) -> DecompressionOptions {
        request.ownOptions?.value.decompression.resolved(over: options) ?? options
    }

    /// Whether the codings are offered. The caller's own `Accept-Encoding` stays. A request for a range offers none,
    /// because a part of a coded body cannot be decoded.
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
