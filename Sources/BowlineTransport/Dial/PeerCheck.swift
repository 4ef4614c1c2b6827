internal import BowlineCore
internal import Crypto
internal import NIOSSL

/// The checks of a peer's certificate that BoringSSL does not make: the host, the pins, and the program's own check.
struct PeerCheck: Sendable {
    /// The program refused the peer.
    struct Refusal: Error {
        /// What the program's closure threw.
        let underlying: any Error
    }

    /// The host that the certificate is for.
    let host: String
    /// What the certificate's names are compared with; nil: they are not compared.
    let identity: ReferenceIdentity?
    /// The digests of the keys that are accepted; empty: any key.
    let pins: Set<[UInt8]>
    /// The program's own check; nil: none.
    let verification: PeerVerification?

    /// Whether there is nothing to check.
    var isEmpty: Bool { identity == nil && pins.isEmpty && verification == nil }

    /// Checks the host and the pins.
    ///
    /// - Returns: Why the certificate is refused; nil: it is accepted.
    func failure(of certificate: NIOSSLCertificate) -> TLSFailure? {
        if let identity {
            let names = PresentedName.all(of: certificate)
            guard identity.matches(names) else {
                return TLSFailure(.otherName(host: identity.host, names: PresentedName.summary(names)))
            }
        }
        guard !pins.isEmpty else { return nil }
        guard let digest = Self.keyDigest(der: Self.der(of: certificate)) else { return TLSFailure(.other("")) }
        return pins.contains(digest) ? nil : TLSFailure(.otherKey(PublicKeyPin(digest: digest)))
    }

    /// Returns what the program's own check gets.
    func presented(_ certificate: NIOSSLCertificate) -> PresentedCertificate {
        let der = Self.der(of: certificate)
        return PresentedCertificate(
            host: host, certificate: der, pin: PublicKeyPin(digest: Self.keyDigest(der: der) ?? []))
    }

    /// Returns the SHA-256 of the certificate's key (RFC 7469 §2.4); nil: `der` is not a certificate.
    static func keyDigest(der: [UInt8]) -> [UInt8]? {
        CertificateFacts.publicKeyInfo(ofCertificate: der).map { key in
            var hash = SHA256()
            key.withUnsafeBytes { hash.update(bufferPointer: $0) }
            return Array(hash.finalize())
        }
    }

    private static func der(of certificate: NIOSSLCertificate) -> [UInt8] {
        (try? certificate.toDERBytes()) ?? []
    }
}
