package import BowlineCore

/// The reason why a redirect must not be followed.
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
        /// The caller gets the response: it is no redirect, or the redirect is not followed.
        case stop
        /// This request is sent, to its `url`.
        case follow(ServiceRequest)
        /// The redirect must not be followed, and the call fails.
        case refuse(RedirectRefusal)
    }

    /// How a redirect changes the request.
    package enum Kind: Sendable {
        /// 301, 302: the request is unchanged, but a POST becomes a GET. All HTTP clients do this.
        case historical
        /// 303: the request becomes a GET. A HEAD stays a HEAD.
        case seeOther
        /// 307, 308: the request is unchanged.
        case same

        /// Makes the kind for a status; nil: the status is not followed, for example 300, 304, 305 and 306.
        package init?(_ status: HTTPResponse.Status) {
            switch status.code {
            case 301, 302: self = .historical
            case 303: self = .seeOther
            case 307, 308: self = .same
            default: return nil
            }
        }
    }

    /// Whether a response is a redirect with a `Location`. The user's retry closures do not get such a response.
    static func leadsElsewhere(_ response: ServiceResponse) -> Bool {
        Kind(response.status) != nil && response.receivedFields.contains("location")
    }

    private let options: RedirectOptions
    private let clientFields: [HTTPField.Name]

    /// - Parameter clientFields: The names of the fields that the client adds for its own service.
    package init(_ options: RedirectOptions, clientFields: [HTTPField.Name] = []) {
        self.options = options
        self.clientFields = clientFields
    }

    /// Decides whether the caller gets a response, its redirect is followed, or the call fails.
    ///
    /// - Parameters:
    ///   - kind: How the response's status changes the request.
    ///   - fields: The response's fields.
    ///   - request: The request that was sent.
    ///   - url: The URL to which the request was sent.
    ///   - followed: The number of redirects that the call has followed already.
    ///   - isMoved: Whether middleware sent the request to `url` although the request was for another origin. Then the
    ///     next hop has no credentials, wherever it leads, because `url`'s origin has chosen its URL.
    ///   - named: Returns the URL that the caller would use for the URL of a balancer's endpoint; nil for any other URL.
    ///     All endpoints count as one origin: the origin that the caller names.
    package func decide(
        _ kind: Kind, fields: ReceivedFields, request: ServiceRequest, url: ServiceURL, followed: Int,
        isMoved: Bool = false, named: (ServiceURL) -> ServiceURL? = { _ in nil }
    ) -> Decision {
        guard options.maximum > 0, request.method != .connect else { return .stop }
        let locations = fields.values(for: .location)
        // Without a `Location` the caller gets the response. An empty `Location` counts as none, as in other clients.
        guard let location = locations.first, locations.contains(where: { !$0.isEmpty }) else { return .stop }
        // Bowline does not follow a redirect to a scheme that is not for HTTP (`mailto:`, the scheme of an app). The
        // caller may follow it.
        guard !locations.allSatisfy(ServiceURL.hasForeignScheme) else { return .stop }
        var next = request
        rewrite(&next, kind)
        guard next.body.isReplayable else { return .stop }
        guard followed < options.maximum else {
            return .refuse(
                RedirectRefusal(.tooManyRedirects, "more than \(options.maximum) redirects (redirect.maximum)"))
        }
        guard fields.hasEqualValues(of: "location") else {
            return .refuse(RedirectRefusal("the redirect has several Location fields that differ"))
        }
        guard fields.withFirst("location", ServiceURL.hasLostBytes) != true else {
            return .refuse(RedirectRefusal("the redirect's Location is not UTF-8, and its bytes were lost (U+FFFD)"))
        }
        do {
            let target = try url.resolving(Self.asciiText(of: fields) ?? location)
            let service = (named(url) ?? url).origin
            if isMoved || (target.origin != url.origin && (named(target) ?? target).origin != service) {
                // The endpoint may be `http` although the caller named an `https` URL.
                if let reason = refusal(from: url.origin, to: target.origin)
                    ?? refusal(from: service, to: target.origin)
                {
                    return .refuse(RedirectRefusal(reason))
                }
                removeCredentials(&next)
            }
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

    /// Changes the method, the body and the body's fields for the next hop. Keeps the credentials.
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

    /// Removes the fields that were meant for the previous origin, including `Host`. No later hop adds them again.
    private func removeCredentials(_ request: inout ServiceRequest) {
        for name in Self.credentialFields { request.fields[name] = nil }
        for name in options.sensitiveFields { request.fields[name] = nil }
        for name in clientFields where !Self.harmlessFields.contains(name) { request.fields[name] = nil }
    }

    /// Returns the `Location` with each byte above 0x7F percent-encoded, because such bytes need not be UTF-8; nil:
    /// there is no such byte.
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

    /// The fields that describe or frame a body. They are removed with the body.
    private static let contentFields: [HTTPField.Name] =
        [
            .contentType, .contentLength, .contentEncoding, .contentLanguage, .contentLocation, .contentRange,
            .contentDisposition, .transferEncoding, .trailer, .expect, .lastModified,
        ] + ["Content-MD5", "Content-Digest", "Repr-Digest", "Digest"].compactMap { HTTPField.Name($0) }

    private static let credentialFields: [HTTPField.Name] =
        [.authorization, .cookie, .proxyAuthorization] + ["Host", "Cookie2"].compactMap { HTTPField.Name($0) }

    /// The fields about the client that any origin may see.
    static let harmlessFields: Set<HTTPField.Name> = [.accept, .acceptEncoding, .acceptLanguage, .userAgent]
}
