package import BowlineCore

/// Ends a call that hangs in the user's middleware, at the request's deadline or at a shutdown's deadline.
///
/// It is the outermost middleware. Only a client with user middleware has it, because Bowline's own waits already end
/// at these deadlines. It runs the rest of the call in a child task, which it cancels at the deadline. It then waits
/// until the middleware ends, even if the middleware ignores its cancellation.
package struct CallLimitMiddleware: ServiceMiddleware {
    /// How long this middleware waits after the deadline for the transport to end the call. The transport's error is
    /// better, because it contains more than this middleware's error.
    private static let grace = Duration.seconds(1)

    private let clock: any ServiceClock

    package init(clock: any ServiceClock) {
        self.clock = clock
    }

    package func intercept(
        _ request: ServiceRequest, context: RequestContext, next: Next
    ) async throws -> ServiceResponse {
        context.call.countReturns()
        let work = SharedWork<ServiceResponse>()
        let failure = await withTaskGroup { group in
            group.addTask {
                do {
                    work.end(.success(try await next(request, context: context)))
                } catch {
                    work.end(.failure(error))
                }
            }
            let failure = await limit(work, context)
            if failure != nil { group.cancelAll() }
            await group.waitForAll()
            return failure
        }
        switch work.result {
        case .success(let response): return response
        case .failure(let error):
            guard error is CancellationError, !Task.isCancelled, let failure else { throw error }
            throw failure
        case nil: throw CancellationError()
        }
    }

    /// Waits until the work ends or a deadline passes.
    ///
    /// - Returns: The error of the deadline that has passed; nil: the work has ended, or the caller was cancelled.
    private func limit(_ work: SharedWork<ServiceResponse>, _ context: RequestContext) async -> ServiceError? {
        var limit = context.deadline?.instant
        var isExtended = false
        while true {
            do {
                _ = try await work.value(until: limit, clock: clock, call: context.call)
                return nil
            } catch is SharedWork<ServiceResponse>.LimitPassed {
                guard context.call.isInTransport, !isExtended else {
                    return context.call.failure(.deadlineExceeded, "the request's time ended while a middleware had it")
                }
                isExtended = true
                limit = clock.now.advanced(by: Self.grace)
            } catch is SharedWork<ServiceResponse>.ForciblyClosed {
                return context.call.forciblyClosed
            } catch {
                return nil
            }
        }
    }
}
