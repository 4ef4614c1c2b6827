package import BowlineCore

/// The rules for retries and redirects of a client's calls. A request's own options take precedence.
package final class CallPolicies: Sendable {
    let retry: RetryOptions
    let redirect: RedirectOptions
    /// The names of the fields that the client adds for its own service.
    let clientFields: [HTTPField.Name]

    /// - Parameters:
    ///   - retry: The client's retry options.
    ///   - redirect: The client's redirect options.
    ///   - clientFields: The names of the fields that the client adds for its own service. They may be credentials.
    package init(
        retry: RetryOptions = RetryOptions(), redirect: RedirectOptions = RedirectOptions(),
        clientFields: [HTTPField.Name] = []
    ) {
        self.retry = retry
        self.redirect = redirect
        self.clientFields = clientFields
    }

    func retryPolicy(for request: ServiceRequest) -> RetryPolicy {
        guard let own = request.ownOptions, !own.value.retry.isInherited else { return RetryPolicy(options: retry) }
        return RetryPolicy(options: own.value.retry.resolved(over: retry))
    }

    func redirectPolicy(for request: ServiceRequest) -> RedirectPolicy {
        let own = request.ownOptions?.value.redirect.resolved(over: redirect)
        return RedirectPolicy(own ?? redirect, clientFields: clientFields)
    }

    /// Whether a `shouldRetry` closure decides about responses of the request.
    func asksAboutResponses(of request: ServiceRequest) -> Bool {
        retry.shouldRetry != nil || request.ownOptions?.value.retry.shouldRetry != nil
    }

    /// The budget that counts the request; nil: there is no budget, or the request is never retried.
    func budgetToFill(by request: ServiceRequest) -> RetryBudgetOptions? {
        guard let own = request.ownOptions else { return retry.maximumAttempts > 1 ? retry.budget : nil }
        guard own.value.retry.maximumAttempts ?? retry.maximumAttempts > 1 else { return nil }
        return own.value.retry.budget.resolved(over: retry.budget)
    }

    /// The budget that limits retries of the request; nil: there is no budget.
    func budget(for request: ServiceRequest) -> RetryBudgetOptions? {
        (request.ownOptions?.value.retry.budget ?? .inherited).resolved(over: retry.budget)
    }
}
