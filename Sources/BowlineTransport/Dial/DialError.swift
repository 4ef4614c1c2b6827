internal import BowlineCore
internal import BowlinePlatform
internal import NIOCore

extension DialFailureCause {
    /// Makes the cause from a dial's error. If the dial tried several addresses, the cause is `.resources` only if each
    /// of them failed for lack of resources.
    init(_ error: any Error) {
        switch error {
        case let error as IOError: self = Self.shortages.contains(error.errnoCode) ? .resources : .peer
        case let failure as ConnectFailure where failure.attemptCount > 0:
            self = failure.isLackOfResources ? .resources : .peer
        case let failure as ConnectFailure: self = Self(failure.lookUpError)
        case let error as NameLookupError: self = error.reason == .noResources ? .resources : .peer
        default: self = .peer
        }
    }

    private static let shortages: Set<CInt> = [EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, EADDRINUSE]
}

extension ConnectFailure.Kind {
    /// Makes the kind from an attempt's error.
    init(_ error: any Error) {
        if let error = error as? IOError, error.errnoCode == ECONNREFUSED {
            self = .refused
        } else {
            self = DialFailureCause(error) == .resources ? .resources : .other
        }
    }
}

/// The peer was expected to speak HTTP/2 and sent something else.
struct HTTP2DialError: Error {
    let violation: HTTP2Violation
}

extension ServiceError {
    /// Describes in the client's own terms why a dial over `route` failed.
    ///
    /// - Parameters:
    ///   - step: The step that failed; nil: the dial had succeeded, and the connection failed before its first request.
    ///   - limit: `timeouts.connect`.
    static func dialFailed(_ error: any Error, step: DialStep? = nil, route: Route, limit: Duration?) -> ServiceError {
        var (code, message) = reason(error, limit: limit)
        if let proxy = route.proxy?.description {
            (code, message) = naming(proxy, code, message, error, step)
        } else if let address = route.address, !(error is ConnectFailure) {
            // A `ConnectFailure` names the addresses that were tried.
            message += "; the dial was for the address \(String(address.description.prefix(64)))"
        }
        return ServiceError(
            code, message, underlying: underlying(error), origin: route.origin.description, phase: .connecting
        )
    }

    /// Returns the code and the message of a dial that failed at its proxy. What failed behind the proxy, in the TLS
    /// handshake with the origin, is not the proxy's failure.
    private static func naming(
        _ proxy: String, _ code: Code, _ message: String, _ error: any Error, _ step: DialStep?
    ) -> (Code, String) {
        if let failure = error as? ProxyFailure { return (failure.code, failure.message(proxy: proxy)) }
        switch step {
        case .resolve, .connect, .tunnel: break
        case .trust, .resolveTarget, .secure, nil: return (code, message)
        }
        if case .connectTimeout = code { return (code, "\(message); the dial waited for the proxy \(proxy)") }
        return (.proxyFailed, "the proxy \(proxy) could not be used: \(message)")
    }

    private static func underlying(_ error: any Error) -> (any Error)? {
        switch error {
        case let error as ServiceError: error.underlying
        case let refusal as PeerCheck.Refusal: refusal.underlying
        case let failure as ConnectFailure: failure.attemptError ?? failure.lookUpError
        case is DialFailure: nil
        default: error
        }
    }

    private static func reason(_ error: any Error, limit: Duration?) -> (Code, String) {
        switch error {
        case let failure as DialFailure: return reason(failure, limit: limit)
        case let failure as HTTP2DialError:
            return (.protocolViolation, "the peer's first bytes are not HTTP/2: \(failure.violation)")
        case let failure as ProxyFailure: return (failure.code, failure.message(proxy: nil))
        case let failure as ConnectFailure: return reason(failure, limit: limit)
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
        case .otherFamily(let local):
            return (
                .connectFailed, "connection.localAddress (\(local)) and the host's addresses are of different families"
            )
        case .noLocalAddress(let local):
            return (.connectFailed, "connection.localAddress (\(local)) is not an address of this machine")
        case .http2NotOffered:
            return (.tlsHandshakeFailed, "the peer does not offer HTTP/2 (http2.negotiation)")
        case .noSettings:
            return (.connectFailed, "the peer ended the connection before its HTTP/2 settings: does it speak HTTP/2?")
        case .unexpectedProtocol: return (.tlsHandshakeFailed, "the peer chose a protocol that was not offered")
        }
    }

    private static func reason(_ failure: ConnectFailure, limit: Duration?) -> (Code, String) {
        guard let error = failure.attemptError else {
            if let error = failure.lookUpError as? DialFailure { return reason(error, limit: limit) }
            return (.nameResolutionFailed, "the host name could not be resolved: \(bounded(failure.lookUpError))")
        }
        let (code, message) = reason(error, limit: limit)
        return (code, "\(message) (tried \(failure.triedAddresses))")
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
