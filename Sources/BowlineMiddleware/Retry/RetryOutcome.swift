internal import BowlineCore

extension RetryMiddleware {
    /// What an attempt that did not succeed came to.
    enum Outcome: Sendable {
        case response(ServiceResponse)
        case failure(ServiceError)

        var response: ServiceResponse? {
            if case .response(let response) = self { response } else { nil }
        }

        var cause: RetryDecision.Cause {
            switch self {
            case .response(let response): .status(response.status.code)
            case .failure(let error): .error(error.code)
            }
        }

        var progress: RequestProgress {
            switch self {
            case .response: .responseStarted
            case .failure(let error): error.progress
            }
        }

        /// How many attempts the call has made so far.
        var attempts: Int {
            switch self {
            case .response(let response): response.facts.attempts
            case .failure(let error): error.attempts
            }
        }

        /// Hands it to whoever waits for it.
        ///
        /// - Parameter furthest: How far any attempt got: what an earlier one may have done at the service is not undone
        ///   by a last one that never left.
        func get(_ furthest: RequestProgress) throws -> ServiceResponse {
            switch self {
            case .response(let response): return response
            case .failure(var error):
                error.progress = error.progress.furthest(furthest)
                throw error
            }
        }

        /// The response is not wanted any more.
        func discard() {
            response?.body.discard()
        }

        /// The same outcome without its hold on a connection: a short body is taken off it, a longer one given up.
        func letGo(clock: any ServiceClock) async -> Outcome {
            guard case .response(var response) = self, !response.body.isHere else { return self }
            response.body = await response.body.letGo(clock: clock)
            return .response(response)
        }
    }
}
