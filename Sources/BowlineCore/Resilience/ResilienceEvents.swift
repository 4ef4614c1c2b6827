/// A change of a circuit breaker.
public struct BreakerChange: Sendable, Hashable {
    /// The breaker's scope.
    public let scope: PolicyScope
    /// The state before.
    public let from: BreakerState
    /// The state now.
    public let to: BreakerState
    /// How long the breaker stays open; nil: it is not open, or until `reset`.
    public let openFor: Duration?
    /// When it changed, on the client's clock.
    public let instant: MonotonicInstant

    package init(
        scope: PolicyScope, from: BreakerState, to: BreakerState, openFor: Duration?, instant: MonotonicInstant
    ) {
        self.scope = scope
        self.from = from
        self.to = to
        self.openFor = openFor
        self.instant = instant
    }
}

/// A change of the endpoints that attempts may go to.
public enum EndpointChange: Sendable {
    /// There is a new list, with this number of endpoints.
    case updated(count: Int)
    /// An entry of a list is not valid, and was ignored. `problem` names its place and never its value.
    case ignored(problem: String)
    /// The sequence of lists has ended. The last list stays.
    case sourceEnded
    /// The sequence of lists threw an error. The last list stays.
    case sourceFailed(any Error)
    /// An endpoint gets no attempts for this time.
    case ejected(BalancedEndpoint, for: Duration)
    /// An endpoint gets attempts again.
    case restored(BalancedEndpoint)
    /// So many endpoints are ejected that all are used (*panic*), or no longer.
    case panicChanged(Bool)
}

/// An endpoint of a balancer: an address of a host, or a base URL.
public enum BalancedEndpoint: Sendable, Hashable, CustomStringConvertible {
    /// An address of an origin's host.
    case address(IPAddress, Origin)
    /// A base URL.
    case url(ServiceURL)

    /// The address, or the origin of the URL.
    public var description: String {
        switch self {
        case .address(let address, let origin): "\(origin) at \(address)"
        case .url(let url): "\(url.origin)"
        }
    }
}
