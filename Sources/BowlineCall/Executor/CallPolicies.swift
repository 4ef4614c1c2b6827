package import BowlineCore

/// The rules that decide how a client's calls go on after an outcome. A request's own options take precedence.
package final class CallPolicies: Sendable {
    let retry: RetryOptions
    let redirect: RedirectOptions
    /// Names of the fields that the client adds for its own service.
    let clientFields: [HTTPField.Name]

    /// - Parameters:
    ///   - retry: The client's retry options.
    ///   - redirect: The client's redirect options.
    ///   - clientFields: Names of the fields that the client adds for its own service: they may be credentials.
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

    /// Whether `shouldRetry` is to see every response of the request.
    func asksAboutResponses(of request: ServiceRequest) -> Bool {
        retry.shouldRetry != nil || request.ownOptions?.value.retry.shouldRetry != nil
    }

    /// The budget that the request adds to; nil: no budget, or the request is never retried.
    func budgetToFill(by request: ServiceRequest) -> RetryBudgetOptions? {
        guard let own = request.ownOptions else { return retry.maximumAttempts > 1 ? retry.budget : nil }
        guard own.value.retry.maximumAttempts ?? retry.maximumAttempts > 1 else { return nil }
        return own.value.retry.budget.resolved(over: retry.budget)
    }

    /// The budget that retries of the request take from; nil: no budget.
    func budget(for request: ServiceRequest) -> RetryBudgetOptions? {
        (request.ownOptions?.value.retry.budget ?? .inherited).resolved(over: retry.budget)
    }
}
