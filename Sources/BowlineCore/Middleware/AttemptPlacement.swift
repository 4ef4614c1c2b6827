/// Where an attempt goes, and whether it is a hedge.
package final class AttemptPlacement: Sendable {
    /// The address of the host that the attempt goes to; nil: the transport chooses.
    package let address: IPAddress?
    /// The origin that the caller named, if a balancer has replaced it by the origin of an endpoint; nil: the request's
    /// URL has the caller's origin. Credentials and the client's own fields belong to this origin.
    package let namedOrigin: Origin?
    /// Whether another attempt of the same call is in flight.
    package let isHedge: Bool
    /// The origin of the request when the balancer placed it: the origin whose host has ``address``, or the endpoint's
    /// origin. If middleware then sends the request to another origin, the placement does not concern it.
    package let placedOrigin: Origin?

    package init(
        address: IPAddress? = nil, namedOrigin: Origin? = nil, isHedge: Bool = false, placedOrigin: Origin? = nil
    ) {
        self.address = address
        self.namedOrigin = namedOrigin
        self.isHedge = isHedge
        self.placedOrigin = placedOrigin
    }
}

extension RequestContext {
    /// Returns the origin that decides whether a request gets credentials and the client's own fields: the origin that
    /// the caller named if a balancer has moved the request to an endpoint, else the origin of the request.
    package func namedOrigin(of request: ServiceRequest) -> Origin? {
        guard let placement, let named = placement.namedOrigin, request.origin == placement.placedOrigin else {
            return request.origin
        }
        return named
    }

    /// Removes the placement if middleware has sent the request to another origin: the address is not one of that
    /// origin's.
    package mutating func dropPlacement(unlessFor request: ServiceRequest) {
        guard let placement, let placed = placement.placedOrigin, request.origin != placed else { return }
        self.placement = placement.isHedge ? AttemptPlacement(isHedge: true) : nil
    }
}
