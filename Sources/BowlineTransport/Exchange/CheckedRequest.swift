package import BowlineCore

/// A request that may be sent, for either protocol to encode: its method, target, host and fields have been checked, and
/// nothing of them can be read as something else than was meant (RFC 9110 §5.5, RFC 9112 §3, §11.1).
///
/// It has exactly one authority and one framing, however the caller's fields spell them. ``RequestFieldRole`` has the table of
/// the fields that are not simply sent.
package struct CheckedRequest: Sendable {
    package let method: String
    /// In origin form (`/users?id=1`), absolute form, authority form (CONNECT) or `*` (RFC 9112 §3.2).
    package let target: String
    /// What `Host` or `:authority` says: the value of the caller's `Host` field, or else what the request was made with; empty
    /// only if the target has no authority.
    package let authority: String
    /// The caller's fields, all of them.
    package let fields: HTTPFields
    package let framing: RequestFraming
    /// What `Content-Length` says; nil: it is not sent.
    package let contentLength: Int64?
    /// How the response is to be parsed.
    package let kind: RequestKind
    /// The connection is not to be used again after this request.
    package let closesConnection: Bool
    /// The body is to wait for a 100 response, for a while.
    package let expectsContinue: Bool
    /// A `TE` field says that trailers are understood.
    let asksForTrailers: Bool
    /// Each field is sent as it is; over HTTP/2 only if the request has no secrets.
    let isPlain: Bool
    /// A field must not enter HTTP/2's compression table.
    let hasSecrets: Bool
    /// What the head takes at most as HTTP/1.1.
    let maximumHeadBytes: Int

    /// Checks a request.
    ///
    /// - Parameters:
    ///   - authority: The URL's host and port, which a `Host` field replaces.
    ///   - hasContent: Whether the body has bytes, as far as is known; false for one that is in chunks for its trailers only.
    ///   - connectionClose: Whether this is to be the connection's last request.
    ///   - expectContinue: Whether to ask for a 100 response before the body; means nothing without content.
    /// - Throws: ``RequestCheckError`` with what is wrong. Of several faults it names one.
    package init(
        method: String, target: String, authority: String, fields: HTTPFields = HTTPFields(),
        framing: RequestFraming = .none, hasContent: Bool = true, connectionClose: Bool = false,
        expectContinue: Bool = false
    ) throws(RequestCheckError) {
        guard let methodRole = Self.role(of: method) else { throw RequestCheckError(.invalidMethod) }
        guard target.passes(Self.isTarget) else { throw RequestCheckError(.invalidTarget) }
        var check = RequestFieldCheck(framing: framing)
        for field in fields { try check.take(field) }
        let host = check.host ?? authority
        if check.host != nil || !host.isEmpty {
            guard host.passes(RequestHost.isValid) else { throw RequestCheckError(.invalidHost) }
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
        // RFC 9110 §10.1.1: a request without content must not expect this.
        expectsContinue =
            (expectContinue || check.saysExpect) && hasContent && framing != .none && framing != .length(0)
        asksForTrailers = check.asksForTrailers
        isPlain = check.isPlain
        hasSecrets = check.hasSecrets
        // What is written besides takes 59 bytes; with all that special fields and flags bring, 113.
        let others = isPlain && !closesConnection && !expectsContinue ? 64 : 128
        maximumHeadBytes = method.utf8.count + target.utf8.count + host.utf8.count + check.byteCount + others
    }

    /// What the method means; nil: it is no token.
    private static func role(of method: String) -> RequestMethodRole? {
        var method = method
        return method.withUTF8 { bytes in
            let bytes = UnsafeRawBufferPointer(bytes)
            return HTTP1Grammar.isToken(bytes) ? RequestMethodRole(bytes) : nil
        }
    }

    /// Visible ASCII and nothing else; whether it is a good target is the URL's business.
    private static func isTarget(_ bytes: UnsafeRawBufferPointer) -> Bool {
        !bytes.isEmpty && bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
}

extension String {
    @inline(__always)
    fileprivate func passes(_ isValid: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        var text = self
        return text.withUTF8 { isValid(UnsafeRawBufferPointer($0)) }
    }
}
