package import BowlineCore

/// A checked request, ready for either protocol to encode. No recipient can read its method, target, host or fields as
/// anything other than the caller meant (RFC 9110 §5.5, RFC 9112 §3, §11.1).
///
/// It has exactly one authority and one framing, whatever the caller's fields contain. The table of
/// ``RequestFieldRole`` says how each kind of field is sent.
package struct CheckedRequest: Sendable {
    package let method: String
    /// The request target, in origin form (`/users?id=1`), absolute form, authority form (CONNECT) or `*` (RFC 9112
    /// §3.2).
    package let target: String
    /// The value of `Host` or `:authority`: the caller's `Host` field if there is one, else the URL's host and port.
    /// Empty only if the target has no authority.
    package let authority: String
    /// All of the caller's fields.
    package let fields: HTTPFields
    package let framing: RequestFraming
    /// The value of `Content-Length`; nil: the field is not sent.
    package let contentLength: Int64?
    /// How the response is to be parsed.
    package let kind: RequestKind
    /// Whether the connection carries no other request after this one.
    package let closesConnection: Bool
    /// Whether the body waits, for a limited time, for a 100 response.
    package let expectsContinue: Bool
    /// Whether a `TE` field says that the caller accepts trailers.
    let asksForTrailers: Bool
    /// Whether each field has the role `plain` or `secret`. If so, HTTP/1.1 sends all fields unchanged. HTTP/2 sends
    /// them unchanged only if ``hasSecrets`` is also false.
    let isPlain: Bool
    /// Whether a field must not enter HTTP/2's compression table.
    let hasSecrets: Bool
    /// The largest size that the head can have in HTTP/1.1, in bytes.
    let maximumHeadBytes: Int

    /// Checks a request.
    ///
    /// - Parameters:
    ///   - authority: The URL's host and port; a `Host` field replaces it.
    ///   - hasContent: Whether the body has bytes, as far as is known. False for a body that is chunked only because of
    ///     its trailers.
    ///   - connectionClose: Whether this is the connection's last request.
    ///   - expectContinue: Whether to ask for a 100 response before the body. Ignored without content.
    /// - Throws: ``RequestCheckError``, which names one fault even if there are several.
    package init(
        method: String, target: String, authority: String, fields: HTTPFields = HTTPFields(),
        framing: RequestFraming = .none, hasContent: Bool = true, connectionClose: Bool = false,
        expectContinue: Bool = false
    ) throws(RequestCheckError) {
        guard let methodRole = Self.role(of: method) else { throw RequestCheckError(.invalidMethod) }
        guard target.withBytes(Self.isTarget) else { throw RequestCheckError(.invalidTarget) }
        var check = RequestFieldCheck(framing: framing)
        for field in fields { try check.take(field) }
        let host = check.host ?? authority
        if check.host != nil || !host.isEmpty {
            guard host.withBytes(RequestHost.isValid) else { throw RequestCheckError(.invalidHost) }
        }
        self.method = method
        self.target = target
        self.authority = host
        self.fields = fields
        self.framing = framing
        kind =
            switch methodRole {
            case .head: .head
            case .connect: .connect
            case .other, .withContent: check.hasUpgrade ? .upgrade : .other
            }
        contentLength =
            switch framing {
            case .none: methodRole == .withContent ? 0 : nil
            case .length(let length): length
            case .chunked: nil
            }
        closesConnection = connectionClose || check.saysClose
        // RFC 9110 §10.1.1: a request without content must not have `Expect: 100-continue`.
        expectsContinue =
            (expectContinue || check.saysExpect) && hasContent && framing != .none && framing != .length(0)
        asksForTrailers = check.asksForTrailers
        isPlain = check.isPlain
        hasSecrets = check.hasSecrets
        // The rest of a plain head takes at most 59 bytes; with every special field and flag it takes 113.
        let others = isPlain && !closesConnection && !expectsContinue ? 64 : 128
        maximumHeadBytes = method.utf8.count + target.utf8.count + host.utf8.count + check.byteCount + others
    }

    /// Returns the role of the method; nil: the method is not a token.
    private static func role(of method: String) -> RequestMethodRole? {
        method.withBytes { bytes in
            HTTP1Grammar.isToken(bytes) ? RequestMethodRole(bytes) : nil
        }
    }

    /// Whether the bytes are visible ASCII, at least one. The checks of the URL decide whether they are a valid target.
    private static func isTarget(_ bytes: UnsafeRawBufferPointer) -> Bool {
        !bytes.isEmpty && bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
}
