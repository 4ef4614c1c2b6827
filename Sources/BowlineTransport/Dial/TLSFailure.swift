internal import BowlineCore
internal import NIOSSL

/// The reason why TLS with a peer failed, in the client's own words.
///
/// NIOSSL's errors are not passed on, because their descriptions contain source paths of the machine that built them.
/// NIOSSL also does not say why BoringSSL refused a certificate, so the reason is derived from the certificate's
/// fields.
struct TLSFailure: Error, Sendable, Hashable, CustomStringConvertible {
    enum Reason: Sendable, Hashable {
        /// BoringSSL refused the peer's certificate.
        case certificate(CertificateProblem)
        /// The peer's certificate is valid, but for another host.
        case otherName(host: String, names: String)
        /// No certificate can name this host.
        case unnamableHost(String)
        /// The peer's certificate is valid, but its key is not one of `tls.pins`.
        case otherKey(PublicKeyPin)
        /// The peer sent this alert (RFC 8446 §6).
        case alert(Int)
        /// The connection ended during the handshake, without an alert.
        case ended
        case notTLS
        case oldVersion
        case renegotiation
        /// BoringSSL's name for the failure; empty if it has none.
        case other(String)
    }

    let reason: Reason

    init(_ reason: Reason) {
        self.reason = reason
    }

    /// - Parameters:
    ///   - error: Any error of a channel.
    ///   - certificate: Returns the peer's certificate (DER). Called only if the certificate was refused.
    ///   - now: The time of day, in seconds since 1970.
    /// - Returns: nil if `error` is no TLS error. Also nil if the connection ended without close_notify: that alone is
    ///   no failure.
    init?(_ error: any Error, certificate: () -> [UInt8]? = { nil }, now: () -> Int = { 0 }) {
        switch error {
        case let failure as TLSFailure: self = failure
        case NIOSSLError.uncleanShutdown: return nil
        case NIOSSLError.handshakeFailed(let error), NIOSSLError.shutdownFailed(let error), let error as BoringSSLError:
            reason = Self.reason(error, certificate, now)
        case is NIOSSLError: reason = .other("")
        case is NIOSSLExtraError: reason = .other("")
        default: return nil
        }
    }

    /// Whether the peer refused to continue the connection. False for any other failure, such as a connection that
    /// broke.
    var isRefusal: Bool {
        switch reason {
        case .alert, .renegotiation: true
        default: false
        }
    }

    /// Whether the peer is not the requested host, or has another key. Such a peer must receive nothing from us, not
    /// even our certificate.
    var isOtherHost: Bool {
        switch reason {
        case .otherName, .otherKey: true
        default: false
        }
    }

    private static func reason(
        _ error: BoringSSLError, _ certificate: () -> [UInt8]?, _ now: () -> Int
    ) -> Reason {
        switch error {
        case .zeroReturn: return .alert(0)
        case .sslError(let stack), .unknownError(let stack):
            if stack.contains(.eofDuringHandshake) || stack.contains(.eofDuringAdditionalCertficiateChainValidation) {
                return .ended
            }
            let entries = stack.map(StackEntry.init)
            if entries.contains(where: { $0.name == "CERTIFICATE_VERIFY_FAILED" }) {
                let facts = certificate().flatMap(CertificateFacts.init)
                return .certificate(CertificateProblem(facts, now: now()))
            }
            if let alert = entries.lazy.compactMap(\.alert).first { return .alert(alert) }
            return entries.first.map { reason($0.name) } ?? .other("")
        default: return .other("")
        }
    }

    private static func reason(_ name: String) -> Reason {
        switch name {
        case "WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST": .notTLS
        case "UNSUPPORTED_PROTOCOL": .oldVersion
        case "NO_RENEGOTIATION": .renegotiation
        case "KEY_USAGE_BIT_INCORRECT": .certificate(.wrongUsage([]))
        default: .other(name)
        }
    }

    var description: String {
        switch reason {
        case .certificate(let problem): "the peer's certificate \(problem)"
        case .otherName(let host, let names): "the peer's certificate is not for \"\(host.prefix(100))\": \(names)"
        case .unnamableHost(let host):
            "no certificate can name \"\(host.prefix(100))\": it is neither a DNS name nor an IP address"
        case .otherKey(let pin): "the key of the peer's certificate is not one of tls.pins: it is \(pin)"
        case .alert(let number): "the peer ended the TLS handshake: \(Self.alert(number))"
        case .ended: "the peer closed the connection during the TLS handshake"
        case .notTLS: "the peer's answer is not TLS"
        case .oldVersion: "the peer chose a TLS version below tls.minimumVersion"
        case .renegotiation: "the peer asked for a second TLS handshake (tls.renegotiation; over HTTP/2 never)"
        case .other(let name): name.isEmpty ? "TLS failed" : "TLS failed: \(name.lowercased())"
        }
    }

    private static func alert(_ number: Int) -> String {
        let name = alerts[number].map { "alert \($0)" } ?? "alert \(number)"
        switch number {
        case 42...46, 48, 116: return name + ", about our certificate (tls.identity)"
        case 40, 47, 70, 71: return name + ", it shares no version or cipher with us, or wants a certificate"
        case 112: return name + ", it does not know the server name"
        case 120: return name + ", it speaks none of the protocols offered (http2.negotiation)"
        default: return name
        }
    }

    /// RFC 8446 §6, RFC 5246 §7.2.
    private static let alerts: [Int: String] = [
        0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed",
        22: "record_overflow", 30: "decompression_failure", 40: "handshake_failure", 41: "no_certificate",
        42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
        46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
        51: "decrypt_error", 60: "export_restriction", 70: "protocol_version", 71: "insufficient_security",
        80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation",
        109: "missing_extension", 110: "unsupported_extension", 111: "certificate_unobtainable",
        112: "unrecognized_name", 113: "bad_certificate_status_response", 114: "bad_certificate_hash_value",
        115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol", 121: "ech_required",
    ]
}

/// The reason why BoringSSL refused a certificate, as far as the certificate's fields show.
enum CertificateProblem: Sendable, Hashable, CustomStringConvertible {
    case expired(since: String)
    case notYetValid(until: String)
    /// The certificate is not for servers. Its usages are listed.
    case wrongUsage([String])
    case selfSigned
    case unknownAuthority(issuer: String?)

    /// - Parameter facts: nil: nothing is known about the certificate.
    init(_ facts: CertificateFacts?, now: Int) {
        guard let facts else {
            self = .unknownAuthority(issuer: nil)
            return
        }
        if let end = facts.notAfter, end.seconds < now {
            self = .expired(since: end.text)
        } else if let start = facts.notBefore, start.seconds > now {
            self = .notYetValid(until: start.text)
        } else if !facts.isForServers {
            self = .wrongUsage(facts.usages ?? [])
        } else {
            self = facts.isSelfIssued ? .selfSigned : .unknownAuthority(issuer: facts.issuer)
        }
    }

    var description: String {
        switch self {
        case .expired(let date): return "has expired: it was valid until \(date)"
        case .notYetValid(let date): return "is not valid yet: it is valid from \(date)"
        case .wrongUsage(let usages):
            let purpose = usages.isEmpty ? "its key usage forbids it" : "it is for \(usages.joined(separator: ", "))"
            return "has the wrong usage for a server: \(purpose)"
        case .selfSigned: return "is not trusted: it is self-signed and not among tls.trustRoots"
        case .unknownAuthority(let issuer):
            let name = issuer.map { " \"\($0)\"" } ?? ""
            return "is not trusted: unknown authority\(name) (no valid chain to one of tls.trustRoots)"
        }
    }
}

/// An entry of BoringSSL's error stack.
private struct StackEntry {
    /// BoringSSL's name for the reason: capitals, digits and underscores.
    let name: String
    /// The alert that the peer sent, if an alert is the reason.
    let alert: Int?

    /// Parses NIOSSL's description: `Error: CODE error:HEX:library:function:REASON at file:line`.
    init(_ error: BoringSSLInternalError) {
        let parts = "\(error)".utf8
            .split(separator: UInt8(ascii: ":"), maxSplits: 6, omittingEmptySubsequences: false)
            .map { Substring($0) }
        let code = parts.count > 2 ? Int(parts[2], radix: 16) ?? 0 : 0
        let word = parts.count > 5 ? parts[5].prefix { $0 != " " } : ""
        let isName = word.utf8.allSatisfy { byte in
            (0x41...0x5A).contains(byte) || (0x30...0x39).contains(byte) || byte == UInt8(ascii: "_")
        }
        name = isName ? String(word.prefix(64)) : ""
        // 16 is BoringSSL's library number for SSL. Its reasons from 1000 on are alerts.
        alert = code >> 24 == 16 && code & 0xFFF >= 1000 ? code & 0xFFF - 1000 : nil
    }
}
