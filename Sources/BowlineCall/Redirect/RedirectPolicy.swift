package import BowlineCore

/// Why a redirect must not be followed.
package struct RedirectRefusal: Sendable {
    package let code: ServiceError.Code
    package let message: String
    package let underlying: (any Error)?

    init(_ message: String, underlying: (any Error)? = nil) {
        self.init(.redirectRefused, message, underlying: underlying)
    }

    init(_ code: ServiceError.Code, _ message: String, underlying: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.underlying = underlying
    }
}

/// Decides where a redirect leads, and makes the request for it (RFC 9110 §15.4).
package struct RedirectPolicy: Sendable {
    /// The decision about a response.
    package enum Decision: Sendable {
        /// It is the caller's: no redirect, or one that is not followed.
        case stop
        /// Sends this request, to its `url`.
        case follow(ServiceRequest)
        /// It must not be followed.
        case refuse(RedirectRefusal)
    }

    /// How a redirect changes the request.
    package enum Kind: Sendable {
        /// 301, 302: as it is, but a POST becomes a GET, as everybody has always done.
        case historical
        /// 303: a GET, or the HEAD it was.
        case seeOther
        /// 307, 308: as it is.
        case same

        /// The kind of a status; nil for every status that is not followed, 300, 304, 305 and 306 included.
        package init?(_ status: HTTPResponse.Status) {
            switch status.code {
            case 301, 302: self = .historical
            case 303: self = .seeOther
            case 307, 308: self = .same
            default: return nil
            }
        }
    }

    /// Whether a response is a redirect with a place to go to: then it is not the call's outcome.
    static func leadsElsewhere(_ response: ServiceResponse) -> Bool {
        Kind(response.status) != nil && response.receivedFields.contains("location")
    }

    private let options: RedirectOptions
    private let clientFields: [HTTPField.Name]

    /// - Parameter clientFields: Which fields the client gives to its own service.
    package init(_ options: RedirectOptions, clientFields: [HTTPField.Name] = []) {
        self.options = options
        self.clientFields = clientFields
    }

    /// - Parameters:
    ///   - kind: How the response's status changes the request.
    ///   - fields: The response's fields.
    ///   - request: The request that was sent.
    ///   - url: Where it was sent.
    ///   - followed: How many redirects the call has followed already.
    package func decide(
        _ kind: Kind, fields: ReceivedFields, request: ServiceRequest, url: ServiceURL, followed: Int
    ) -> Decision {
        guard options.maximum > 0, request.method != .connect else { return .stop }
        let locations = fields.values(for: .location)
        // Without a place to go to, it is a response like any other; everybody else takes an empty one for none, too.
        guard let location = locations.first, locations.contains(where: { !$0.isEmpty }) else { return .stop }
        // To another program's scheme (`mailto:`, an app's own) the caller may go, not we.
        guard !locations.allSatisfy(ServiceURL.hasForeignScheme) else { return .stop }
        var next = request
        rewrite(&next, kind)
        guard next.body.isReplayable else { return .stop }
        guard followed < options.maximum else {
            return .refuse(
                RedirectRefusal(.tooManyRedirects, "more than \(options.maximum) redirects (redirect.maximum)"))
        }
        guard locations.allSatisfy({ $0 == location }) else {
            return .refuse(RedirectRefusal("the redirect has several Location fields that differ"))
        }
        guard fields.withFirst("location", ServiceURL.hasLostBytes) != true else {
            return .refuse(RedirectRefusal("the redirect's Location is not UTF-8, and its bytes were lost (U+FFFD)"))
        }
        do {
            let target = try url.resolving(Self.asciiText(of: fields) ?? location)
            if let reason = refusal(from: url.origin, to: target.origin) { return .refuse(RedirectRefusal(reason)) }
            if target.origin != url.origin { removeCredentials(&next) }
            next.url = target
            return .follow(next)
        } catch {
            let reason = (error as? ServiceError)?.message ?? "it is no URL"
            return .refuse(RedirectRefusal("the redirect's Location cannot be used: \(reason)", underlying: error))
        }
    }

    private func refusal(from origin: Origin, to target: Origin) -> String? {
        if target.socketPath != nil, target != origin { return "the redirect leads to a Unix domain socket" }
        if origin.scheme == .https, target.scheme == .http, !options.allowsDowngrade {
            return "the redirect leads from https to http (redirect.allowsDowngrade)"
        }
        return nil
    }

    /// Makes it the request that is to be sent to the new place, but for its credentials.
    private func rewrite(_ request: inout ServiceRequest, _ kind: Kind) {
        switch kind {
        case .historical where request.method == .post: request.method = .get
        case .seeOther where request.method != .head: request.method = .get
        case .historical, .same: return
        case .seeOther: break
        }
        request.body = .none
        for name in Self.contentFields { request.fields[name] = nil }
    }

    /// Removes the fields that were meant for the previous origin, its `Host` included. No later hop puts them back.
    private func removeCredentials(_ request: inout ServiceRequest) {
        for name in Self.credentialFields { request.fields[name] = nil }
        for name in options.sensitiveFields { request.fields[name] = nil }
        for name in clientFields where !Self.harmlessFields.contains(name) { request.fields[name] = nil }
    }

    /// A `Location` whose bytes above 0x7F are percent-encoded as they are: they need not be UTF-8. nil: it has none.
    private static func asciiText(of fields: ReceivedFields) -> String? {
        fields.withFirst("location") { bytes -> String? in
            guard bytes.contains(where: { $0 >= 0x80 }) else { return nil }
            var text = ""
            for byte in bytes.prefix(ServiceURL.maximumLocationBytes + 1) {
                let scalar = String(Unicode.Scalar(byte))
                text += byte < 0x80 ? scalar : "%" + String(byte, radix: 16, uppercase: true)
            }
            return text
        } ?? nil
    }

    /// Fields that describe or frame a body that is not sent any more.
    private static let contentFields: [HTTPField.Name] =
        [
            .contentType, .contentLength, .contentEncoding, .contentLanguage, .contentLocation, .contentRange,
            .contentDisposition, .transferEncoding, .trailer, .expect, .lastModified,
        ] + ["Content-MD5", "Content-Digest", "Repr-Digest", "Digest"].compactMap { HTTPField.Name($0) }

    private static let credentialFields: [HTTPField.Name] =
        [.authorization, .cookie, .proxyAuthorization] + ["Host", "Cookie2"].compactMap { HTTPField.Name($0) }

    /// Fields about the client that any origin may see.
    static let harmlessFields: Set<HTTPField.Name> = [.accept, .acceptEncoding, .acceptLanguage, .userAgent]
}
