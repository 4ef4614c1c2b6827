internal import BowlineCore

/// The values that lead attempts to one endpoint. They are made when the list of endpoints changes, so that an attempt allocates nothing.
final class EndpointTarget: Sendable {
    /// The base URL; nil: the endpoint is an address.
    let base: ServiceURL?
    private let placement: AttemptPlacement
    private let placementOfHedges: AttemptPlacement

    /// - Parameter origin: The origin that the requests name.
    init(_ place: BalancedEndpoint, of origin: Origin) {
        base = place.url
        func placement(isHedge: Bool) -> AttemptPlacement {
            switch place {
            case .address(let address, _): AttemptPlacement(address: address, isHedge: isHedge, placedOrigin: origin)
            case .url(let url): AttemptPlacement(namedOrigin: origin, isHedge: isHedge, placedOrigin: url.origin)
            }
        }
        self.placement = placement(isHedge: false)
        placementOfHedges = placement(isHedge: true)
    }

    func placement(isHedge: Bool) -> AttemptPlacement { isHedge ? placementOfHedges : placement }
}

extension BalancedEndpoint {
    /// The base URL; nil: the endpoint is an address.
    var url: ServiceURL? {
        if case .url(let url) = self { url } else { nil }
    }
}
