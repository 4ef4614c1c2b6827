package import BowlineCore

/// The rules for retries, hedges and redirects of a client's calls. A request's own options take precedence.
package final class CallPolicies: Sendable {
    let retry: RetryOptions
    let redirect: RedirectOptions
    /// When hedges are sent; nil: never, unless a request's own options say so.
    let hedging: HedgingOptions?
    /// The names of the fields that the client adds for its own service.
    let clientFields: [HTTPField.Name]

    /// - Parameters:
    ///   - retry: The client's retry options.
    ///   - redirect: The client's redirect options.
    ///   - hedging: The client's hedging options; nil: no hedges.
    ///   - clientFields: The names of the fields that the client adds for its own service. They may be credentials.
    package init(
        retry: RetryOptions = RetryOptions(), redirect: RedirectOptions = RedirectOptions(),
        hedging: HedgingOptions? = nil, clientFields: [HTTPField.Name] = []
    ) {
        self.retry = retry
        self.redirect = redirect
        self.hedging = hedging
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

    /// The options for hedges of the request; nil: it has none.
    func hedging(for request: ServiceRequest) -> HedgingOptions? {
        guard let own = request.ownOptions else { return hedging }
        return own.value.hedging.resolved(over: hedging)
    }

    /// The budget that counts the request; nil: there is no budget, or the request is never retried or hedged.
    func budgetToFill(by request: ServiceRequest) -> RetryBudgetOptions? {
        guard let own = request.ownOptions else {
            return retry.maximumAttempts > 1 || hedging != nil ? retry.budget : nil
        }
        guard own.value.retry.maximumAttempts ?? retry.maximumAttempts > 1 || hedging(for: request) != nil else {
            return nil
        }
        return own.value.retry.budget.resolved(over: retry.budget)
    }

    /// The budget that limits retries of the request; nil: there is no budget.
    func budget(for request: ServiceRequest) -> RetryBudgetOptions? {
        (request.ownOptions?.value.retry.budget ?? .inherited).resolved(over: retry.budget)
    }
}
