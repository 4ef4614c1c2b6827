internal import BowlineCore
internal import NIOCore
internal import NIOPosix

extension DialFailureCause {
    /// Makes the cause from a dial's error. If the dial tried several addresses, the cause is `.resources` only if each
    /// of them failed for lack of resources.
    init(_ error: any Error) {
        switch error {
        case let error as IOError: self = Self.shortages.contains(error.errnoCode) ? .resources : .peer
        case let error as NIOConnectionError where !error.connectionErrors.isEmpty:
            self = error.connectionErrors.allSatisfy { Self($0.error) == .resources } ? .resources : .peer
        case let error as NIOConnectionError:
            self = (error.dnsAError ?? error.dnsAAAAError).map(Self.init) ?? .peer
        case let error as NameLookupError: self = error.reason == .noResources ? .resources : .peer
        default: self = .peer
        }
    }

    private static let shortages: Set<CInt> = [EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL]
}

/// The peer was expected to speak HTTP/2 and sent something else.
struct HTTP2DialError: Error {
    let violation: HTTP2Violation
}

extension ServiceError {
    /// Describes in the client's own terms why a dial to `origin` failed.
    static func dialFailed(_ error: any Error, origin: Origin, limit: Duration?) -> ServiceError {
        let (code, message) = reason(error, origin: origin, limit: limit)
        return ServiceError(
            code, message, underlying: underlying(error), origin: origin.description, phase: .connecting
        )
    }

    private static func underlying(_ error: any Error) -> (any Error)? {
        if let error = error as? ServiceError { return error.underlying }
        if let refusal = error as? PeerCheck.Refusal { return refusal.underlying }
        return error is DialFailure ? nil : error
    }

    private static func reason(_ error: any Error, origin: Origin, limit: Duration?) -> (Code, String) {
        switch error {
        case let failure as DialFailure: return reason(failure, limit: limit)
        case let failure as HTTP2DialError:
            return (.protocolViolation, "the peer's first bytes are not HTTP/2: \(failure.violation)")
        case let error as NIOConnectionError: return reason(error)
        case let error as NameLookupError: return reason(error)
        case let error as IOError: return reason(error)
        case let error as ServiceError: return (error.code, error.message)
        case let refusal as PeerCheck.Refusal:
            return (.tlsHandshakeFailed, "tls.verifyPeer refused the peer (\(type(of: refusal.underlying)))")
        case let failure as TLSFailure:
            return (failure.reason == .ended ? .connectFailed : .tlsHandshakeFailed, failure.description)
        default:
            return (.connectFailed, "the connection could not be established: \(bounded(error))")
        }
    }

    private static func reason(_ failure: DialFailure, limit: Duration?) -> (Code, String) {
        switch failure {
        case .timedOut:
            let seconds = limit.map { "\($0.inSeconds) s" } ?? "the limit"
            return (.connectTimeout, "resolving, connecting and TLS took longer than timeouts.connect (\(seconds))")
        case .bytesBeforeRequest(let bytes):
            if case .status = bytes { return (.connectFailed, bytes.message(isFresh: true)) }
            return (.protocolViolation, bytes.message(isFresh: true))
        case .closedEarly: return (.connectFailed, "the peer closed the connection before it could be used")
        case .cancelled: return (.connectFailed, "the dial was given up")
        case .http2NotOffered:
            return (.tlsHandshakeFailed, "the peer does not offer HTTP/2 (http2.negotiation)")
        case .noSettings:
            return (
                .protocolViolation, "the peer ended the connection before its HTTP/2 settings: does it speak HTTP/2?"
            )
        case .unexpectedProtocol: return (.tlsHandshakeFailed, "the peer chose a protocol that was not offered")
        }
    }

    private static func reason(_ error: NIOConnectionError) -> (Code, String) {
        for failure in error.connectionErrors {
            if let error = failure.error as? IOError, error.errnoCode == ECONNREFUSED { return reason(error) }
        }
        if let first = error.connectionErrors.first {
            if let error = first.error as? IOError { return reason(error) }
            return (.connectFailed, "the connection could not be established: \(bounded(first.error))")
        }
        guard let error = (error.dnsAError ?? error.dnsAAAAError) as? NameLookupError else {
            return (.nameResolutionFailed, "the host name could not be resolved")
        }
        return reason(error)
    }

    private static func reason(_ error: NameLookupError) -> (Code, String) {
        (.nameResolutionFailed, "the host name could not be resolved: \(bounded(error))")
    }

    private static func reason(_ error: IOError) -> (Code, String) {
        error.errnoCode == ECONNREFUSED
            ? (.connectionRefused, "the peer refused the connection")
            : (.connectFailed, "the connection could not be established: \(bounded(error))")
    }

    private static func bounded(_ error: any Error) -> String {
        String("\(error)".unicodeScalars.prefix(200).map { (0x20..<0x7F).contains($0.value) ? Character($0) : "?" })
    }
}
