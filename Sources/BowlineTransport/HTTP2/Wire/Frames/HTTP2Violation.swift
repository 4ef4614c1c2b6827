/// A rule of HTTP/2 that the peer has broken.
///
/// The texts are static: they cost nothing and cannot carry a byte that the peer wrote.
package struct HTTP2Violation: Error, Sendable {
    /// The part of the protocol that the violation ends: a stream or the connection (RFC 9113 §5.4).
    package enum Scope: Sendable, Hashable {
        case stream(Int)
        case connection
    }

    package var code: HTTP2ErrorCode
    package var scope: Scope
    /// The peer's fault, for example "a WINDOW_UPDATE of 0".
    package var what: StaticString
    /// The source of the rule, for example "RFC 9113 §6.9".
    package var rule: StaticString

    package init(_ code: HTTP2ErrorCode, _ scope: Scope, _ what: StaticString, rule: StaticString) {
        self.code = code
        self.scope = scope
        self.what = what
        self.rule = rule
    }
}

extension HTTP2Violation: Hashable {
    package static func == (one: HTTP2Violation, other: HTTP2Violation) -> Bool {
        one.code == other.code && one.scope == other.scope && one.what.description == other.what.description
            && one.rule.description == other.rule.description
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(code)
        hasher.combine(scope)
    }
}

extension HTTP2Violation: CustomStringConvertible {
    /// A text with the peer's fault, the rule and the error code: "a WINDOW_UPDATE of 0 (RFC 9113 §6.9,
    /// PROTOCOL_ERROR)".
    package var description: String {
        "\(what) (\(rule), \(code.name))"
    }
}
