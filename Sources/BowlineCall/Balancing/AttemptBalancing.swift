package import BowlineCore

/// Gives each attempt of a client to an address or a base URL.
package final class AttemptBalancing: Sendable {
    enum Source {
        case addresses(AddressBalancers)
        case list(ListBalancer)
    }

    private let options: BalancingOptions
    private let source: Source

    init(_ options: BalancingOptions, _ source: Source) {
        self.options = options
        self.source = source
    }

    /// Chooses an endpoint for an attempt, and changes the attempt so that it goes there.
    ///
    /// An address becomes the attempt's `placement`. A base URL replaces the client's base URL in the request's URL; the
    /// placement then keeps the origin that the caller named.
    ///
    /// - Returns: nil: the attempt is not balanced. Else call ``attemptEnded(_:_:wasSent:)``.
    /// - Throws: ``ServiceError``: the addresses are not known, or there is no endpoint; `CancellationError`.
    @inline(__always)
    func place(_ request: inout ServiceRequest, _ context: inout RequestContext) async throws -> PlacedAttempt? {
        if let placed = placeAtOnce(&request, &context) { return placed }
        return try await placeAfterWait(&request, &context)
    }

    /// nil: the attempt is not balanced, or has to wait.
    private func placeAtOnce(_ request: inout ServiceRequest, _ context: inout RequestContext) -> PlacedAttempt? {
        guard let url = request.url else { return nil }
        switch source {
        case .addresses(let balancers):
            let now = balancers.surroundings.now
            guard let address = balancers.balancer(for: url, at: now, options),
                case .ready = address.readiness(at: now),
                let placed = address.balancer.choose(for: context, options)
            else { return nil }
            direct(&context, to: placed)
            return placed
        case .list(let list):
            guard url.origin == list.base.origin else { return nil }
            list.begin()
            guard let placed = list.choose(for: context, options) else { return nil }
            return direct(&request, url, from: list, &context, to: placed)
        }
    }

    @inline(never)
    private func placeAfterWait(
        _ request: inout ServiceRequest, _ context: inout RequestContext
    ) async throws -> PlacedAttempt? {
        guard let url = request.url else { return nil }
        switch source {
        case .addresses(let balancers):
            let now = balancers.surroundings.now
            guard let address = balancers.balancer(for: url, at: now, options),
                try await isReady(address, context, at: now),
                let placed = address.balancer.choose(for: context, options)
            else { return nil }
            direct(&context, to: placed)
            return placed
        case .list(let list):
            guard url.origin == list.base.origin else { return nil }
            let placed = try await list.waitAndChoose(for: context, options)
            return direct(&request, url, from: list, &context, to: placed)
        }
    }

    private func direct(_ context: inout RequestContext, to placed: PlacedAttempt) {
        context.placement = placed.target.placement(isHedge: context.placement?.isHedge ?? false)
    }

    private func direct(
        _ request: inout ServiceRequest, _ url: ServiceURL, from list: ListBalancer, _ context: inout RequestContext,
        to placed: PlacedAttempt
    ) -> PlacedAttempt? {
        guard let base = placed.target.base else { return nil }
        request.url = url.replacingBase(list.base, by: base)
        direct(&context, to: placed)
        return placed
    }

    /// Returns whether the addresses of the origin are known; waits for them if need be.
    private func isReady(
        _ address: AddressBalancer, _ context: RequestContext, at now: MonotonicInstant
    ) async throws -> Bool {
        switch address.readiness(at: now) {
        case .ready: return true
        case .notBalanced: return false
        case .unknown: break
        }
        do {
            return try await address.lookUp(for: context) == .ready
        } catch {
            throw Self.failure(error, address.balancer.origin, context)
        }
    }

    /// Makes the attempt's error from an error of the look-up, which several attempts share.
    private static func failure(_ error: any Error, _ origin: Origin, _ context: RequestContext) -> any Error {
        var failure: ServiceError
        switch error {
        case is SharedWork<AddressBalancer.Readiness>.LimitPassed:
            failure = ServiceError(.deadlineExceeded, "the request's time ended during the look-up of the host's name")
        case is SharedWork<AddressBalancer.Readiness>.ForciblyClosed: return context.call.forciblyClosed
        case is CancellationError where !Task.isCancelled: return context.call.forciblyClosed
        case let error as ServiceError: failure = error
        default: return error
        }
        failure.progress = .neverSent
        failure.attempts = context.attempt
        failure.requestsSent = context.call.requestsSent
        failure.origin = origin.description
        failure.phase = .connecting
        return failure
    }

    /// Records the outcome of an attempt.
    ///
    /// - Parameter wasSent: Whether the attempt reached the transport. False: middleware answered or refused it.
    func attemptEnded(_ placed: PlacedAttempt, _ outcome: AttemptOutcome, wasSent: Bool) {
        placed.balancer.attemptEnded(placed, outcome, wasSent: wasSent, options)
    }

    /// Returns the URL that the caller would use for `url` if `url` belongs to an endpoint: the client's base URL
    /// replaces the endpoint's. nil: the URL belongs to no endpoint.
    package func namedURL(for url: ServiceURL) -> ServiceURL? {
        guard case .list(let list) = source, let base = list.balancer.base(of: url) else { return nil }
        return url.replacingBase(base, by: list.base)
    }
}
