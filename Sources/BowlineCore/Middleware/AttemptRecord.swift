/// The record of what the transport and the credentials did within one attempt.
///
/// The user's `perAttempt` middleware runs between the executor and the transport, and may return or throw anything. So
/// the executor takes from this record, and not from the error, how far the attempt got and whether the failure is the
/// attempt's own. Only attempts with such middleware have a record.
package final class AttemptRecord: Sendable {
    private struct State {
        var sends = 0
        /// The last failure from the transport or the credentials; nil: there was none, or a request was sent after it.
        var failure: ServiceError?
        var renewal = RenewalChance()
    }

    private let state = Guarded(State())

    package init() {}

    /// A request was given to the transport. Clears the failure of an earlier request.
    package func sent() {
        state.withLock { state in
            state.sends += 1
            state.failure = nil
        }
    }

    /// The transport returned a 401.
    package func refused(_ renewal: RenewalChance) {
        state.withLock { $0.renewal = renewal }
    }

    /// The transport, or the credentials, failed the request.
    package func failed(_ failure: ServiceError) {
        state.withLock { $0.failure = failure }
    }

    /// Whether a request was given to the transport.
    package var isSent: Bool { state.withLock { $0.sends > 0 } }

    /// Which kinds of authenticators may have other credentials, after the last 401.
    package var renewal: RenewalChance { state.withLock { $0.renewal } }

    /// Compares `error`, which middleware threw, with the events of the attempt.
    ///
    /// - Parameters:
    ///   - error: The attempt's error.
    ///   - origin: The origin that the request was for.
    /// - Returns: the error, with a `progress` that is at least the attempt's; and whether this attempt's request
    ///   failed with this error. False if middleware made the error, kept it from earlier, or got it for a request of
    ///   its own.
    package func judged(_ error: ServiceError, from origin: Origin?) -> (error: ServiceError, isOwn: Bool) {
        let (sends, failure) = state.withLock { ($0.sends, $0.failure) }
        let last = failure.flatMap { $0.isCopied(to: error) ? $0 : nil }
        let isLast = last != nil
        // Whether the error is the failure of a response body that middleware was reading.
        let isOfBody =
            sends > 0 && error.progress.furthest(.ambiguous) == error.progress
            && error.origin != nil && error.origin == origin?.description
        // Whether the error's progress covers all requests of the attempt. A failure of the credentials says nothing
        // about a request that the attempt sent earlier.
        let saysAll = sends == 0 || sends == 1 && isLast && error.code != .authenticationFailed
        var error = error
        if let last { error.progress = last.progress }
        if !saysAll { error.progress = error.progress.furthest(.ambiguous) }
        return (error, isLast || isOfBody)
    }
}

extension ServiceError {
    /// Whether `other` is this failure of a transport, or a copy that middleware has changed.
    ///
    /// Both errors must have the same `requestsSent`. Each request that a call sends raises this number, so two
    /// failures of one call have different numbers, and an error that middleware made has 0. An error of another call
    /// may have the same number. So two of code, origin and elapsed time must be equal too.
    fileprivate func isCopied(to other: ServiceError) -> Bool {
        guard requestsSent == other.requestsSent else { return false }
        let agreeing = [code == other.code, origin == other.origin, elapsed == other.elapsed]
        return agreeing.count { $0 } >= 2
    }
}
