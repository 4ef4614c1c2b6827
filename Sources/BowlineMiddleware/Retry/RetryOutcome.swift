internal import BowlineCore

extension RetryMiddleware {
    /// What an attempt that did not succeed came to.
    enum Outcome: Sendable {
        case response(ServiceResponse)
        case failure(ServiceError)

        /// How much of a failed response is kept through the wait, to be returned if a shutdown ends it.
        static let keptBytes = 65_536
        /// How long that much may take to arrive.
        static let keptWithin = Duration.milliseconds(50)

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
            response.body = await Self.detached(response.body, clock: clock)
            return .response(response)
        }

        private static func detached(_ body: ResponseBody, clock: any ServiceClock) async -> ResponseBody {
            // Nothing to wait for, so nothing that a clock would have to be asked for.
            if body.isBuffered { return body }
            let bytes = await withTaskGroup(of: ByteBuffer?.self) { group in
                group.addTask { try? await body.collect(upTo: keptBytes) }
                group.addTask {
                    try? await clock.sleep(until: clock.now.advanced(by: keptWithin), tolerance: nil)
                    return nil
                }
                let first = await group.next() ?? nil
                group.cancelAll()
                return first
            }
            guard let bytes else {
                body.discard()
                return .givenUp
            }
            return ResponseBody(received: bytes, trailers: body.trailers, attempt: body.attempt)
        }
    }
}

extension ResponseBody {
    /// The body of a response that was let go of before a retry which then never came.
    fileprivate static var givenUp: ResponseBody {
        ResponseBody(
            AsyncThrowingStream<ByteBuffer, any Error> { continuation in
                continuation.finish(
                    throwing: ServiceError(
                        .bodyAlreadyConsumed, "the body was given up before a retry that a shutdown then prevented",
                        progress: .responseStarted, phase: .receivingBody
                    ))
            })
    }
}
