package import BowlineCore

/// The fallback of one call (`options.fallback`): makes a response from the error of a call that failed.
///
/// It is the last step of all: after retries, redirects and the user's `perCall` middleware. So it gets every
/// ``ServiceError`` that the caller would get, also of a request that a shutdown refused. It does not get cancellations
/// and errors of other types. No limit applies to it, because the call's deadline may have passed already.
package final class Fallback: Sendable {
    private let make: @Sendable (ServiceError) async throws -> ServiceResponse
    private let request: ServiceRequest
    private let context: RequestContext
    private let observers: CallObservers

    /// Makes the fallback of a request; nil: the request has none.
    package init?(_ request: ServiceRequest, _ context: RequestContext, executor: CallExecutor) {
        guard let make = request.ownOptions?.value.fallback else { return nil }
        self.make = make
        self.request = request
        self.context = context
        observers = executor.observers
    }

    /// Returns the response to use instead of `error`.
    ///
    /// - Throws: `error`, if no response is made from it; any error of the user's closure.
    package func response(insteadOf error: any Error) async throws -> ServiceResponse {
        guard let error = error as? ServiceError else { throw error }
        var response = try await make(error)
        response.note(request, of: context.call)
        var context = context
        context.attempt = max(error.attempts, 1)
        observers.fallbackUsed(error, request, context)
        return response
    }
}
