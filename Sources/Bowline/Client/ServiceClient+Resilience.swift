internal import BowlineCall
public import BowlineCore

extension ServiceClient {
    /// The client's gates and balancers: a snapshot, and circuit breakers by hand. Derived clients share them.
    public var resilience: ClientResilience {
        ClientResilience(
            gates: core.gates, balancers: core.balancers, observers: CallObservers(configuration, core: core),
            hasBreaker: configuration.resilience.breaker != nil)
    }

    /// Access to a client's gates and balancers.
    public struct ClientResilience: Sendable {
        fileprivate let gates: ServiceGates
        fileprivate let balancers: Balancers
        fileprivate let observers: CallObservers
        fileprivate let hasBreaker: Bool

        /// Returns the state of the gates at this moment, for each scope, and of the balancers.
        public func snapshot() -> ResilienceSnapshot {
            ResilienceSnapshot(scopes: gates.snapshot().scopes, balancers: balancers.snapshot())
        }

        /// Opens a circuit breaker until ``reset(origin:scope:)`` is called: attempts to the scope are refused with
        /// `circuitOpen`. Attempts in flight go on.
        ///
        /// Use it when you know that a service is down, or must be left alone.
        ///
        /// - Parameters:
        ///   - origin: An absolute URL. Its path is ignored.
        ///   - scope: The name from `options.policyScope`; nil: the requests without such a name.
        /// - Throws: ``ServiceError``: `invalidURL`; `invalidRequest` if this client has no `resilience.breaker`, because
        ///   its attempts would go on.
        public func isolate(origin: String, scope: String? = nil) throws {
            let origin = try ServiceURL(origin).origin
            guard hasBreaker else {
                throw ServiceError(.invalidRequest, "isolate needs a client with resilience.breaker")
            }
            gates.isolate(PolicyScope(origin: origin, name: scope), observers)
        }

        /// Closes a circuit breaker, and opens the rate gate if the service has closed it (`Retry-After`). Earlier results
        /// of attempts are forgotten, and the rate gate's bucket is full. Attempts that wait for the rate gate look at it
        /// again at once, and go at its rate.
        ///
        /// - Parameters:
        ///   - origin: An absolute URL. Its path is ignored.
        ///   - scope: The name from `options.policyScope`; nil: the requests without such a name.
        /// - Throws: ``ServiceError`` `invalidURL`.
        public func reset(origin: String, scope: String? = nil) throws {
            gates.reset(PolicyScope(origin: try ServiceURL(origin).origin, name: scope), observers)
        }
    }
}
