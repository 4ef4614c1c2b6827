import Bowline
import Foundation
import Logging
import Synchronization

/// The recipes of Docs/Cookbook.md that are middleware; `CookbookMiddlewareTests` runs them.
enum CookbookMiddleware {
    struct RequestIDs: ServiceMiddleware {
        static let field = HTTPField.Name("X-Request-ID")!

        var makeID: @Sendable () -> String = { UUID().uuidString }

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            let id = request.fields[Self.field] ?? makeID()
            var request = request
            request.fields[Self.field] = id
            return try await withLogger(mergingMetadata: ["request.id": "\(id)"]) { [request] _ in
                try await next(request, context: context)
            }
        }
    }

    final class CircuitBreaker: ServiceMiddleware {
        static let isOpen = ServiceError.Code(rawValue: "circuitBreakerOpen")
        /// What says that the service is in trouble; a request that is wrong, or refused here, says nothing of it.
        static let failures: Set<ServiceError.Code> = [
            .connectionRefused, .connectFailed, .connectTimeout, .connectionClosed, .responseHeadTimeout,
            .attemptTimeout,
        ]

        private struct State {
            var failures = 0
            /// While it is open: when a call may find out whether the service is back.
            var nextProbe: MonotonicInstant?
        }

        private let limit: Int
        private let pause: Duration
        private let state = Mutex(State())

        init(failuresInARow limit: Int = 5, pause: Duration = .seconds(10)) {
            self.limit = limit
            self.pause = pause
        }

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            try admit(at: context.clock.now)
            do {
                let response = try await next(request, context: context)
                note(isFailure: response.status.code >= 500, at: context.clock.now)
                return response
            } catch {
                if let error = error as? ServiceError, Self.failures.contains(error.code) {
                    note(isFailure: true, at: context.clock.now)
                }
                throw error
            }
        }

        private func admit(at now: MonotonicInstant) throws {
            try state.withLock { state in
                guard let probe = state.nextProbe else { return }
                guard now >= probe else { throw ServiceError(Self.isOpen, "the service has failed too often") }
                state.nextProbe = now.advanced(by: pause)  // this call finds out; the others are refused meanwhile
            }
        }

        private func note(isFailure: Bool, at now: MonotonicInstant) {
            state.withLock { state in
                state.failures = isFailure ? state.failures + 1 : 0
                if state.failures >= limit { state.nextProbe = now.advanced(by: pause) }
                if state.failures == 0 { state.nextProbe = nil }
            }
        }
    }

    final class RateLimit: ServiceMiddleware {
        static let exceeded = ServiceError.Code(rawValue: "rateLimitExceeded")

        private let interval: Duration
        private let burst: Int
        /// When all tokens will be there again.
        private let refilled = Mutex(MonotonicInstant(nanoseconds: .min))

        init(oneEach interval: Duration, burst: Int = 1) {
            self.interval = interval
            self.burst = burst
        }

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            let now = context.clock.now
            let start = try takeToken(now, before: context.deadline)
            if start > now {
                guard try await context.sleep(until: start) else {
                    throw ServiceError(.shuttingDown, "the client shuts down, and the request was not sent")
                }
            }
            return try await next(request, context: context)
        }

        private func takeToken(_ now: MonotonicInstant, before deadline: Deadline?) throws -> MonotonicInstant {
            try refilled.withLock { refilled in
                let taken = max(refilled, now)
                let start = max(now, taken.advanced(by: interval * (1 - burst)))
                if let deadline, start >= deadline.instant {
                    throw ServiceError(Self.exceeded, "no token of the rate limit is there before the deadline")
                }
                refilled = taken.advanced(by: interval)
                return start
            }
        }
    }

    struct Failover: ServiceMiddleware {
        static let outages: Set<ServiceError.Code> = [
            .nameResolutionFailed, .connectionRefused, .connectFailed, .connectTimeout, .connectionClosed,
            .responseHeadTimeout, .attemptTimeout,
        ]

        let primary: ServiceURL
        let spare: ServiceURL

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            do {
                return try await next(request, context: context)
            } catch let error as ServiceError {
                let mayRepeat = request.isIdempotent || error.progress == .neverSent || error.progress == .refused
                guard Self.outages.contains(error.code), mayRepeat, request.body.isReplayable,
                    let url = request.url, url.origin == primary.origin
                else { throw error }
                var (again, later) = (request, context)
                again.url = try spare.appending(url.target)
                later.attempt = max(context.attempt, error.attempts) + 1
                return try await next(again, context: later)
            }
        }
    }
}
