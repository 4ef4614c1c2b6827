internal import BowlineCore

/// The state of one HTTP/1.1 connection, and whether it can carry another request.
///
/// | state | start | request finished | response ended | closed |
/// |---|---|---|---|---|
/// | idle | busy | – | – | closed |
/// | busy, request and response open | – | request done | response done: wait for the upload, or close | closed |
/// | busy, request done | – | – | idle, or closed with its reason | closed |
/// | busy, response done | – | idle, or closed | – | closed |
/// | closed | refused | ignored | ignored | closed |
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
        /// Why we close the connection after this request; nil: we keep it.
        let closesAfter: CloseReason?
        /// Why the connection cannot carry another request, by what the peer did; nil: it can carry one.
        var unusable: CloseReason?
        /// How long the peer keeps the connection open after the response; nil: the peer does not say.
        var keepAlive: Duration?
    }

    private var state = State.idle

    var isIdle: Bool {
        if case .idle = state { true } else { false }
    }

    /// Begins a request. Returns false if the connection is closed or busy.
    ///
    /// - Parameter unusable: Why the connection cannot carry another request after this one; nil: it can carry one.
    mutating func start(unusable: CloseReason?) -> Bool {
        guard case .idle = state else { return false }
        state = .busy(Busy(closesAfter: unusable))
        return true
    }

    /// Records that bytes of the request were given to the channel.
    mutating func wrote() {
        update { $0.hasWritten = true }
    }

    /// Records that bytes of the response, or of an informational response, were received.
    mutating func received() {
        update { $0.hasReceived = true }
    }

    /// Notes that the connection cannot carry another request. The first reason counts.
    mutating func becameUnusable(_ reason: CloseReason) {
        update { $0.unusable = $0.unusable ?? reason }
    }

    /// The next step of the exchange and its connection after an event.
    enum Afterwards: Equatable {
        /// The exchange continues.
        case continues
        /// Request and response are done, and the connection can carry another request. `keepAlive`: how long the peer
        /// keeps it open; nil: the peer does not say.
        case reuse(keepAlive: Duration?)
        /// The exchange is over, and the connection closes.
        case close(CloseReason)
    }

    /// Records that the request was written whole.
    mutating func requestFinished() -> Afterwards {
        guard case .busy(var busy) = state else { return .continues }
        busy.isRequestDone = true
        return finishIfDone(busy)
    }

    /// The facts in a final response head that decide about its connection.
    struct Head {
        var status: Int
        /// Whether the request is a CONNECT: a success turns the connection into a tunnel.
        var isConnect = false
        /// Whether the body ends when the peer closes.
        var isUntilClose = false
        var persistence: HTTP1ResponseHead.Persistence

        fileprivate var unusable: CloseReason? {
            if status == 101 || isConnect && (200..<300).contains(status) { return .upgraded }
            if isUntilClose { return .eofDelimitedBody }
            return persistence.keepAlive ? nil : .connectionCloseRequested
        }
    }

    /// Records that a final response head was received. If this head stops the upload, the connection carries no other
    /// request, because the peer still waits for the rest of the body.
    mutating func headReceived(_ head: Head, hasBodyBegun: Bool) -> UploadDecision {
        guard case .busy(var busy) = state else { return .goesOn }
        let decision = UploadDecision(
            status: head.status, isRequestDone: busy.isRequestDone, hasBodyBegun: hasBodyBegun)
        busy.unusable = busy.unusable ?? head.unusable ?? (decision == .stops ? .requestUnfinished : nil)
        busy.keepAlive = head.persistence.keepAliveTimeout.map { .seconds($0) }
        state = .busy(busy)
        return decision
    }

    /// Records that the response has arrived whole.
    mutating func responseEnded() -> Afterwards {
        guard case .busy(var busy) = state else { return .continues }
        busy.isResponseDone = true
        return finishIfDone(busy)
    }

    /// Records that the connection closes. Returns how far the request had got; nil: there was no request.
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

    /// Whether the response has arrived whole while the request has not been written whole.
    var isResponseDone: Bool {
        guard case .busy(let busy) = state else { return false }
        return busy.isResponseDone
    }

    private static func progress(_ busy: Busy) -> RequestProgress {
        if busy.hasReceived { return .responseStarted }
        return busy.hasWritten ? .ambiguous : .neverSent
    }

    /// Stores the new state of the exchange. Ends the exchange if the response is done and either the request is done
    /// or the peer's side cannot carry another one. If only we want to close, the upload goes on to its end, as on a
    /// connection that is kept.
    private mutating func finishIfDone(_ busy: Busy) -> Afterwards {
        guard busy.isResponseDone else {
            state = .busy(busy)
            return .continues
        }
        guard busy.isRequestDone || busy.unusable != nil else {
            state = .busy(busy)
            return .continues
        }
        if let reason = busy.closesAfter ?? busy.unusable {
            state = .closed
            return .close(reason)
        }
        state = .idle
        return .reuse(keepAlive: busy.keepAlive)
    }

    private mutating func update(_ change: (inout Busy) -> Void) {
        guard case .busy(var busy) = state else { return }
        change(&busy)
        state = .busy(busy)
    }
}
