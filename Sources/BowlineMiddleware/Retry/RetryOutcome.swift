internal import BowlineCore

extension RetryMiddleware {
    /// What an attempt that did not succeed came to.
    enum Outcome: Sendable {
        case response(ServiceResponse)
        /// - isOurs: Whether it may be what the transport said of this attempt.
        case failure(ServiceError, isOurs: Bool)

        /// An attempt's error. How far it says the request got counts if nothing else of the attempt can have got further.
        ///
        /// A perAttempt middleware may throw whatever it likes after the service has answered: a failure that it made, kept,
        /// or had with a request of its own, all of which may say "never sent".
        ///
        /// - Parameters:
        ///   - earlier: How often the call had been sent before the attempt.
        ///   - origin: Whom the request was for.
        init(_ error: ServiceError, of call: CallRecord, sentBefore earlier: Int, to origin: Origin?) {
            let sends = call.timesSent - earlier
            let isOwn = call.isOwnFailure(error)
            var error = error
            // What a body failed with that middleware read comes by no transport's way; it is never one that did not start.
            let isOurs =
                isOwn
                || error.progress.furthest(.ambiguous) == error.progress
                    && error.origin != nil && error.origin == origin?.description
            // An authenticator's failure is not that of a sending, so one that there was is not told of by it.
            let isAllTold = sends == 0 || sends == 1 && isOwn && error.code != .authenticationFailed
            if !isAllTold { error.progress = error.progress.furthest(.ambiguous) }
            self = .failure(error, isOurs: isOurs)
        }

        var response: ServiceResponse? {
            if case .response(let response) = self { response } else { nil }
        }

        var error: ServiceError? {
            if case .failure(let error, _) = self { error } else { nil }
        }

        /// False for what middleware throws: its own, or a failure of somebody else's request, which says nothing of this
        /// one.
        var isOurs: Bool {
            if case .failure(_, let isOurs) = self { isOurs } else { true }
        }

        var cause: RetryDecision.Cause {
            switch self {
            case .response(let response): .status(response.status.code)
            case .failure(let error, _): .error(error.code)
            }
        }

        var progress: RequestProgress {
            switch self {
            case .response: .responseStarted
            case .failure(let error, _): error.progress
            }
        }

        /// How many attempts the call has made so far.
        var attempts: Int {
            switch self {
            case .response(let response): response.facts.attempts
            case .failure(let error, _): error.attempts
            }
        }

        /// Hands it to whoever waits for it.
        ///
        /// - Parameter furthest: How far any attempt got: what an earlier one may have done at the service is not undone
        ///   by a last one that never left.
        func get(_ furthest: RequestProgress) throws -> ServiceResponse {
            switch self {
            case .response(let response): return response
            case .failure(var error, _):
                error.progress = error.progress.furthest(furthest)
                throw error
            }
        }

        /// The response is not wanted any more.
        func discard() {
            response?.body.discard()
        }

        /// The same outcome without its hold on a connection: a short body is taken off it, a longer one given up.
        func letGo(before deadline: Deadline?, clock: any ServiceClock) async -> Outcome {
            guard case .response(var response) = self, !response.body.isHere else { return self }
            response.body = await response.body.letGo(before: deadline, clock: clock)
            return .response(response)
        }
    }
}
