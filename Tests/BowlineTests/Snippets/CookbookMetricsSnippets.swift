import Bowline
import Metrics

/// The recipe of Docs/Cookbook.md that measures; `CookbookMiddlewareTests` runs it. Apart from the others, because Foundation
/// has a `Timer` as well.
enum CookbookMetrics {
    struct CallTimes: ServiceMiddleware {
        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            let (clock, start) = (context.clock, context.clock.now)
            let operation = request.options.targetTemplate ?? "other"
            func record(_ outcome: String) {
                Timer(label: "orders.calls", dimensions: [("operation", operation), ("outcome", outcome)])
                    .record(duration: start.duration(to: clock.now))
            }
            do {
                let response = try await next(request, context: context)
                record("\(response.status.code / 100)xx")
                return response
            } catch {
                record("error")
                throw error
            }
        }
    }
}
