extension ServiceError.Code {
    /// The codes of temporary failures, after which another attempt may succeed. Every other failure is final: a bad
    /// certificate, a violation of the protocol, a limit, an invalid request, a full queue, a deadline.
    package static let temporary: Set<ServiceError.Code> = [
        .nameResolutionFailed, .connectionRefused, .connectFailed, .connectTimeout, .proxyFailed, .connectionClosed,
        .streamReset,
        .responseHeadTimeout, .bodyIdleTimeout, .attemptTimeout,
    ]
}

extension ServiceError {
    /// Whether the failure of a source of credentials is temporary: its service could not be reached, was too slow, or
    /// answered 429 or 5xx. Any other error is a refusal, and the next request would fail in the same way.
    package static func isTemporary(_ error: any Error) -> Bool {
        guard let error = error as? ServiceError else { return false }
        if let status = error.unexpectedStatus?.status.code { return status == 429 || (500...599).contains(status) }
        return error.isTemporary || temporaryForSources.contains(error.code) || Code.temporary.contains(error.code)
    }

    /// The further codes that are temporary for a source of credentials: the deadline of the source's own request (not
    /// of a request that waits for it), a wait for a connection, a truncated response.
    private static let temporaryForSources: Set<Code> = [.deadlineExceeded, .poolAcquireTimeout, .incompleteBody]
}
