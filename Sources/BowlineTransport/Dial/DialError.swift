internal import BowlineCore
internal import NIOCore
internal import NIOPosix
internal import NIOSSL

/// HTTP/2 was to be spoken, and what came was something else.
struct HTTP2DialError: Error {
    let cause: any Error
}

extension ServiceError {
    /// Says in our terms why a dial to `origin` failed.
    static func dialFailed(_ error: any Error, origin: Origin, limit: Duration?) -> ServiceError {
        let (code, message) = reason(error, origin: origin, limit: limit)
        return ServiceError(
            code, message, underlying: error is DialFailure ? nil : error, origin: origin.description,
            phase: .connecting
        )
    }

    private static func reason(_ error: any Error, origin: Origin, limit: Duration?) -> (Code, String) {
        switch error {
        case let failure as DialFailure: return reason(failure, limit: limit)
        case let failure as HTTP2DialError:
            return (.protocolViolation, "the peer's first bytes are not HTTP/2: \(type(of: failure.cause))")
        case let error as NIOConnectionError: return reason(error)
        case let error as NameLookupError: return reason(error)
        case let error as IOError: return reason(error)
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError:
            return (.tlsHandshakeFailed, "the TLS handshake failed: \(bounded(error))")
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
        case .closedDuringHandshake:
            return (.tlsHandshakeFailed, "the peer closed the connection during the TLS handshake")
        case .cancelled: return (.connectFailed, "the dial was given up")
        case .certificateWithoutName:
            return (.tlsHandshakeFailed, "the peer's certificate has no subject alternative name")
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
