/// A check of the peer's certificate by your program, in addition to the client's own checks; see
/// ``TLSOptions/verifyPeer``.
///
/// ```swift
/// $0.tls.verifyPeer = PeerVerification { peer in
///     guard try await revocations.isGood(peer.certificate) else { throw Revoked(host: peer.host) }
/// }
/// ```
///
/// A value is equal to its copies only, because closures cannot be compared.
public struct PeerVerification: Sendable {
    private final class Check: Sendable {
        let verify: @Sendable (PresentedCertificate) async throws -> Void

        init(_ verify: @escaping @Sendable (PresentedCertificate) async throws -> Void) {
            self.verify = verify
        }
    }

    private let check: Check

    /// Makes a check.
    ///
    /// - Parameter verify: Refuses the peer if it throws. It cannot accept a peer that another check has refused. The
    ///   client calls it for each new connection, for several connections at once, and not on an event loop. Its time
    ///   counts towards ``Timeouts/connect``. Its task is cancelled when the dial ends.
    public init(_ verify: @escaping @Sendable (PresentedCertificate) async throws -> Void) {
        check = Check(verify)
    }

    /// Runs the check.
    ///
    /// - Throws: What the closure throws.
    package func verify(_ certificate: PresentedCertificate) async throws {
        try await check.verify(certificate)
    }
}

extension PeerVerification: Hashable {
    /// Whether both values are copies of the same value.
    public static func == (left: PeerVerification, right: PeerVerification) -> Bool { left.check === right.check }

    /// Hashes the identity of the value.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(ObjectIdentifier(check))
    }
}

/// The certificate that a peer has presented, for a ``PeerVerification``.
public struct PresentedCertificate: Sendable, Hashable {
    /// The host that the certificate is for: the URL's host, or ``TLSOptions/serverName``.
    public let host: String
    /// The certificate of the peer, without the rest of its chain, in DER.
    public let certificate: [UInt8]
    /// The pin of the certificate's key.
    public let pin: PublicKeyPin

    /// Makes a value, for tests of your closure.
    public init(host: String, certificate: [UInt8], pin: PublicKeyPin) {
        self.host = host
        self.certificate = certificate
        self.pin = pin
    }
}
