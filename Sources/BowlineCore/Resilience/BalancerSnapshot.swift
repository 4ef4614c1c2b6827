/// The state of one balancer at a moment: the endpoints that the attempts for one origin are distributed over.
public struct BalancerSnapshot: Sendable, Hashable {
    /// The origin that the requests name.
    public let origin: Origin
    /// Whether so many endpoints are ejected that all are used (*panic*).
    public let isPanicking: Bool
    /// The endpoints, in the order of their list. Empty: the last list was empty.
    public let endpoints: [EndpointSnapshot]

    package init(origin: Origin, isPanicking: Bool, endpoints: [EndpointSnapshot]) {
        self.origin = origin
        self.isPanicking = isPanicking
        self.endpoints = endpoints
    }
}

/// The state of one endpoint of a balancer at a moment.
public struct EndpointSnapshot: Sendable, Hashable {
    /// The address or the base URL.
    public let endpoint: BalancedEndpoint
    /// The endpoint's weight; 1 for an address.
    public let weight: Int
    /// The endpoint's zone; nil: it has none.
    public let zone: String?
    /// The share of its weight that the endpoint gets now: below 1 during its slow start.
    public let slowStartShare: Double
    /// The attempts in flight. An attempt is in flight until its response head has arrived or it has failed.
    public let inFlight: Int
    /// The estimate of the time until a response head arrives. It rises at once when an attempt takes longer, and falls
    /// slowly. nil: no attempt has ended since the endpoint was added or its last ejection ended.
    public let latency: Duration?
    /// How long the endpoint stays ejected; nil: it is not ejected.
    public let ejectedFor: Duration?

    package init(
        endpoint: BalancedEndpoint, weight: Int, zone: String?, slowStartShare: Double, inFlight: Int,
        latency: Duration?, ejectedFor: Duration?
    ) {
        self.endpoint = endpoint
        self.weight = weight
        self.zone = zone
        self.slowStartShare = slowStartShare
        self.inFlight = inFlight
        self.latency = latency
        self.ejectedFor = ejectedFor
    }
}
