/// The token that the copies of an authenticator share, and the fetch in progress, at most one for all copies.
///
/// | state | a request | the fetch succeeds | the fetch fails |
/// |---|---|---|---|
/// | no token, or an expired one | begins a fetch if there is none, and waits for it | goes on with the new token | fails; the next request begins a fetch, after a pause if the failure is temporary |
/// | valid, within the leeway | begins a fetch if there is none, or instead of one that takes too long, and goes on with the token | later requests get the new token | no request fails; no other fetch begins for a second |
/// | valid, before the leeway | goes on with the token | | |
///
/// After a temporary failure, each waiting request is retried after its own backoff, so the retries come at different
/// times. The pause makes them wait for one common fetch. With the usual backoff, a burst of requests then causes about
/// as many fetches as one request has attempts. If a request's deadline passes within the pause, the request fails at
/// once, with the failure that began the pause.
///
/// A fetch is cancelled, and its result is ignored, if it takes too long or if no request waits for it any more. But a
/// fetch that began ahead of time (within the leeway) goes on even if no request waits. If it takes too long, the next
/// request cancels it and begins another.
final class BearerTokenStore: Sendable {
    private struct Held: Sendable {
        let field: HTTPField
        /// When the token was fetched.
        let since: MonotonicInstant
        /// When the token expires; nil: unknown.
        let end: MonotonicInstant?
        /// When the next token is fetched ahead of time; nil: never.
        let refresh: MonotonicInstant?
    }

    private struct Fetch {
        let work: SharedWork<HTTPField>
        let limit: MonotonicInstant
        /// Whether the fetch began ahead of time, within the leeway. Such a fetch goes on even if no request waits.
        let isAhead: Bool
        var waiting = 0
    }

    /// The pause after a temporary failure: its end, its length, and the failure. The source is not called again before
    /// the end.
    private struct Pause {
        let end: MonotonicInstant
        let length: Duration
        let failure: any Error
    }

    private struct State {
        var held: Held?
        var fetch: Fetch?
        var noRefreshBefore: MonotonicInstant?
        var pause: Pause?
        /// The tokens that the service refused, the latest last.
        var refused: [String] = []
    }

    /// The way in which a request gets its field.
    private enum Step {
        /// Sends this field. `thenStart`: a fetch ahead of time to start; nil: none. `instead`: a fetch that took too
        /// long, which this one replaces.
        case use(HTTPField, thenStart: SharedWork<HTTPField>?, instead: SharedWork<HTTPField>?)
        /// Waits for a fetch. `until`: when the fetch has taken too long. `start`: when to start the fetch; nil: it has
        /// been started. `instead`: a fetch that took too long, which this one replaces.
        case wait(
            SharedWork<HTTPField>, until: MonotonicInstant, start: MonotonicInstant?, instead: SharedWork<HTTPField>?)
        case fail(any Error)
    }

    /// The pause after a failed fetch ahead of time. During the pause no other fetch begins ahead of time. Also the
    /// longest pause after a temporary failure.
    private static let pauseAfterFailure = Duration.seconds(1)

    /// The first pause after a temporary failure, before the source is called again. It doubles with each further
    /// failure, up to ``pauseAfterFailure``. It is longer than the usual waits before retries, so that the retries wait
    /// for the same fetch.
    private static let firstPause = Duration.milliseconds(100)

    /// The lowest age at which a token is forgotten after a refusal. Without this minimum, a service that refuses every
    /// token would cause a fetch and a second sending for each request.
    private static let leastAge = Duration.seconds(1)

    /// How many refused tokens are remembered. Refused tokens are replaced at most once a second, so requests in flight
    /// use fewer different tokens than this.
    private static let remembered = 8

    /// The fetch that the current task runs in. A fetch must not wait for itself.
    @TaskLocal private static var fetching: SharedWork<HTTPField>?

    private let leeway: Duration
    let fetchTimeout: Duration
    private let source: @Sendable () async throws -> BearerToken
    private let state = Guarded(State())

    init(leeway: Duration, fetchTimeout: Duration, fetch: @escaping @Sendable () async throws -> BearerToken) {
        self.leeway = leeway
        self.fetchTimeout = fetchTimeout
        source = fetch
    }

    /// Returns the field to send now. Waits for a fetch if there is no valid token.
    ///
    /// - Throws: ``ServiceError`` `authenticationFailed`, `deadlineExceeded` or `forciblyClosed`; `CancellationError`.
    func field(context: RequestContext, clock: any ServiceClock) async throws -> HTTPField {
        let now = clock.now
        let deadline = context.deadline?.instant ?? .distantFuture
        switch state.withLock({ self.step(&$0, now: now, deadline: deadline) }) {
        case .use(let field, let work, let late):
            late?.cancel()
            if let work { start(work, at: now, now: now, clock: clock) }
            return field
        case .wait(let work, let limit, let start, let late):
            late?.cancel()
            guard Self.fetching !== work else {
                leave(work, isLate: false)
                throw ServiceError(
                    .authenticationFailed,
                    "the source of tokens waits for itself: switch options.authenticates off in it"
                )
            }
            if let start { self.start(work, at: start, now: now, clock: clock) }
            return try await wait(for: work, until: limit, context: context, clock: clock)
        case .fail(let failure):
            throw failure
        }
    }

    /// Records that the service refused the token in this field. Forgets the stored token if it is the refused token
    /// and is at least a second old.
    ///
    /// - Parameter sent: The field's value; nil: another authenticator has rewritten the field. Then the current token
    ///   counts as the one that was sent.
    /// - Returns: whether another token is stored or can be fetched.
    func recordRefusal(of sent: String?, now: MonotonicInstant) -> Bool {
        state.withLock { state in
            let value = sent ?? state.held?.field.value
            if let value, !state.refused.contains(value) {
                state.refused = state.refused.suffix(Self.remembered - 1) + [value]
            }
            guard let held = state.held, held.field.value == value else { return true }
            guard held.since.duration(to: now) >= Self.leastAge else { return false }
            state.held = nil
            return true
        }
    }

    /// Gets the token to send now, as ``field(context:clock:)`` does, which may fetch a token. The result is `renewed`
    /// if the service has never refused this token.
    func renewToken(context: RequestContext, clock: any ServiceClock) async throws -> CredentialRenewal {
        let value = try await field(context: context, clock: clock).value
        return state.withLock { $0.refused.contains(value) ? .notRenewed : .renewed }
    }

    private func step(_ state: inout State, now: MonotonicInstant, deadline: MonotonicInstant) -> Step {
        if let held = state.held, held.end.map({ now < $0 }) ?? true {
            guard let refresh = held.refresh, refresh <= now, state.fetch.map({ $0.limit <= now }) ?? true,
                state.noRefreshBefore.map({ $0 <= now }) ?? true
            else { return .use(held.field, thenStart: nil, instead: nil) }
            // No request waits for a fetch ahead of time, so none has ended it at its limit.
            let late = state.fetch?.work
            return .use(held.field, thenStart: newFetch(&state, isAhead: true, start: now), instead: late)
        }
        // If the pause ends after the request's deadline, waiting cannot help.
        if let pause = state.pause, now < pause.end, deadline <= pause.end { return .fail(pause.failure) }
        var late: SharedWork<HTTPField>?
        if let fetch = state.fetch {
            if now < fetch.limit {
                state.fetch?.waiting += 1
                return .wait(fetch.work, until: fetch.limit, start: nil, instead: nil)
            }
            late = fetch.work
        }
        let start = state.pause.map { max($0.end, now) } ?? now
        let work = newFetch(&state, isAhead: false, start: start)
        state.fetch?.waiting = 1
        return .wait(work, until: start.advanced(by: fetchTimeout), start: start, instead: late)
    }

    private func newFetch(_ state: inout State, isAhead: Bool, start: MonotonicInstant) -> SharedWork<HTTPField> {
        let work = SharedWork<HTTPField>()
        state.fetch = Fetch(work: work, limit: start.advanced(by: fetchTimeout), isAhead: isAhead)
        return work
    }

    /// Starts a fetch. No request's deadline applies to the fetch, because the fetch is for all waiting requests. The
    /// request that began it may have less time than the others.
    private func start(
        _ work: SharedWork<HTTPField>, at start: MonotonicInstant, now: MonotonicInstant, clock: any ServiceClock
    ) {
        Deadline.$current.withValue(nil) {
            Self.$fetching.withValue(work) {
                work.start { [self] in
                    do {
                        if start > now { try await clock.sleep(until: start, tolerance: nil) }
                        let token = try await source()
                        guard let field = token.field else {
                            throw ServiceError(
                                .authenticationFailed,
                                "the source's token is empty or has a character that must not stand in a field"
                            )
                        }
                        ended(work, with: held(field, token.lifetime, from: start, at: clock.now), at: clock.now)
                        return field
                    } catch {
                        ended(work, with: nil, after: error, at: clock.now)
                        throw error
                    }
                }
            }
        }
    }

    private func held(
        _ field: HTTPField, _ lifetime: Duration?, from start: MonotonicInstant, at now: MonotonicInstant
    ) -> Held {
        guard let lifetime else { return Held(field: field, since: now, end: nil, refresh: nil) }
        let end = start.advanced(by: lifetime)
        return Held(
            field: field, since: now, end: end, refresh: end.advanced(by: .zero - min(leeway, lifetime / 2)))
    }

    private func ended(
        _ work: SharedWork<HTTPField>, with held: Held?, after failure: (any Error)? = nil, at now: MonotonicInstant
    ) {
        state.withLock { state in
            guard let fetch = state.fetch, fetch.work === work else { return }
            state.fetch = nil
            state.pause = failure.flatMap { Self.pause(after: state.pause, for: $0, at: now) }
            if let held {
                state.held = held
                state.noRefreshBefore = nil
            } else if fetch.isAhead {
                state.noRefreshBefore = now.advanced(by: Self.pauseAfterFailure)
            }
        }
    }

    private static func pause(after last: Pause?, for failure: any Error, at now: MonotonicInstant) -> Pause? {
        guard ServiceError.isTemporary(failure) else { return nil }
        let length = last.map { min($0.length * 2, pauseAfterFailure) } ?? firstPause
        return Pause(end: now.advanced(by: length), length: length, failure: failure)
    }

    private func wait(
        for work: SharedWork<HTTPField>, until fetchLimit: MonotonicInstant, context: RequestContext,
        clock: any ServiceClock
    ) async throws -> HTTPField {
        let deadline = context.deadline?.instant ?? .distantFuture
        let limit = min(deadline, fetchLimit)
        do {
            let field = try await work.value(
                until: limit == .distantFuture ? nil : limit, clock: clock, call: context.call)
            leave(work, isLate: false)
            return field
        } catch is SharedWork<HTTPField>.LimitPassed {
            let isLate = fetchLimit <= deadline
            leave(work, isLate: isLate)
            throw isLate
                ? Self.late : ServiceError(.deadlineExceeded, "the request's time ended while it waited for a token")
        } catch {
            leave(work, isLate: false)
            throw error is SharedWork<HTTPField>.ForciblyClosed ? context.call.forciblyClosed : error
        }
    }

    /// The error for a fetch that took too long. The error is temporary, because the source may be faster on the next
    /// attempt.
    private static var late: ServiceError {
        var error = ServiceError(.authenticationFailed, "the source of tokens took longer than its fetchTimeout")
        error.isTemporary = true
        return error
    }

    /// Ends the wait of one request. Cancels the fetch if it has taken too long. Also cancels it if no other request
    /// waits for it, unless the fetch began ahead of time.
    private func leave(_ work: SharedWork<HTTPField>, isLate: Bool) {
        let abandoned = state.withLock { state -> SharedWork<HTTPField>? in
            guard var fetch = state.fetch, fetch.work === work else { return nil }
            fetch.waiting -= 1
            let isOver = isLate || (fetch.waiting == 0 && !fetch.isAhead)
            state.fetch = isOver ? nil : fetch
            return isOver ? work : nil
        }
        abandoned?.cancel()
    }
}
