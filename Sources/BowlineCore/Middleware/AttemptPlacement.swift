/// Where an attempt goes, and whether it is a hedge.
package final class AttemptPlacement: Sendable {
    /// The address of the host that the attempt goes to; nil: the transport chooses.
    package let address: IPAddress?
    /// The origin that the caller named, if a balancer has replaced it by the origin of an endpoint; nil: the request's
    /// URL has the caller's origin. Credentials and the client's own fields belong to this origin.
    package let namedOrigin: Origin?
    /// Whether another attempt of the same call is in flight.
    package let isHedge: Bool

    package init(address: IPAddress? = nil, namedOrigin: Origin? = nil, isHedge: Bool = false) {
        self.address = address
        self.namedOrigin = namedOrigin
        self.isHedge = isHedge
    }
}
