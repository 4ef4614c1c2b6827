internal import BowlineCore

/// What one HTTP/1.1 connection is doing, and what may become of it.
///
/// | state | start | request finished | response ended | closed |
/// |---|---|---|---|---|
/// | idle | busy | – | – | closed |
/// | busy, request and response open | – | request done | response done: wait for the upload, or close | closed |
/// | busy, request done | – | – | idle, or closing with its reason | closed |
/// | busy, response done | – | idle, or closing | – | closed |
/// | closing, closed | refused | ignored | ignored | closed |
struct HTTP1ConnectionStateMachine: ~Copyable {
    private enum State {
        case idle
        case busy(Busy)
        case closed
    }

    private struct Busy {
        var hasWritten = false
        var hasReceived = false
        var isRequestDone = false
        var isResponseDone = false
        var isUploadStopped = false
        /// Why the connection cannot carry another request, if so.
        var unusable: CloseReason?
    }

    private var state = State.idle

    var isIdle: Bool {
        if case .idle = state { true } else { false }
    }

    /// A request takes the connection. False: it is closed, or busy.
    ///
    /// - Parameter unusable: Why it cannot carry another one after that, if so.
    mutating func start(unusable: CloseReason?) -> Bool {
        guard case .idle = state else { return false }
        state = .busy(Busy(unusable: unusable))
        return true
    }

    /// Bytes of the request were handed to the network.
    mutating func wrote() {
        update { $0.hasWritten = true }
    }

    /// Bytes of the response, or of an informational one, were received.
    mutating func received() {
        update { $0.hasReceived = true }
    }

    /// The connection cannot carry another request.
    mutating func becameUnusable(_ reason: CloseReason) {
        update { $0.unusable = $0.unusable ?? reason }
    }

    enum Afterwards: Equatable {
        /// The exchange goes on.
        case goOn
        /// Request and response are done: another request may come.
        case reuse
        case close(CloseReason)
    }

    /// The request was written whole.
    mutating func requestFinished() -> Afterwards {
        guard case .busy(var busy) = state else { return .goOn }
        busy.isRequestDone = true
        return settle(busy)
    }

    enum HeadAdvice: Equatable {
        case nothing
        /// The peer has answered before it had the whole request and does not want the rest.
        case stopUpload
    }

    /// A final response head was received. A success leaves an upload running; anything else stops it (RFC 9112 §9.5).
    mutating func headReceived(isSuccess: Bool, hasBodyBegun: Bool) -> HeadAdvice {
        guard case .busy(var busy) = state, !busy.isRequestDone else { return .nothing }
        if isSuccess, hasBodyBegun { return .nothing }
        busy.isUploadStopped = true
        busy.unusable = busy.unusable ?? .requestUnfinished
        state = .busy(busy)
        return .stopUpload
    }

    /// The response has arrived whole.
    mutating func responseEnded() -> Afterwards {
        guard case .busy(var busy) = state else { return .goOn }
        busy.isResponseDone = true
        return settle(busy)
    }

    /// The connection closes. How far the request had got, if there was one.
    mutating func close() -> RequestProgress? {
        defer { state = .closed }
        guard case .busy(let busy) = state else { return nil }
        return Self.progress(busy)
    }

    /// How far the request has got.
    var progress: RequestProgress {
        guard case .busy(let busy) = state else { return .neverSent }
        return Self.progress(busy)
    }

    var isRequestDone: Bool {
        guard case .busy(let busy) = state else { return true }
        return busy.isRequestDone
    }

    /// The response has arrived whole, and the request has not been written whole.
    var isResponseDone: Bool {
        guard case .busy(let busy) = state else { return false }
        return busy.isResponseDone
    }

    private static func progress(_ busy: Busy) -> RequestProgress {
        if busy.hasReceived { return .responseStarted }
        return busy.hasWritten ? .ambiguous : .neverSent
    }

    private mutating func settle(_ busy: Busy) -> Afterwards {
        guard busy.isResponseDone else {
            state = .busy(busy)
            return .goOn
        }
        if let reason = busy.unusable {
            state = .closed
            return .close(reason)
        }
        guard busy.isRequestDone else {
            state = .busy(busy)
            return .goOn
        }
        state = .idle
        return .reuse
    }

    private mutating func update(_ change: (inout Busy) -> Void) {
        guard case .busy(var busy) = state else { return }
        change(&busy)
        state = .busy(busy)
    }
}
