internal import BowlineCore

/// The valid entries of a list of endpoints, and the problems of the other entries.
struct EndpointList {
    private(set) var listings: [EndpointListing] = []
    /// Each problem names the place of its entry, and never the value.
    private(set) var problems: [String] = []

    init(_ endpoints: [ServiceEndpoint]) {
        var known: Set<ServiceURL> = []
        for (index, endpoint) in endpoints.enumerated() {
            guard let url = try? ServiceURL(endpoint.url) else {
                problems.append("endpoints[\(index)].url is not an absolute http or https URL")
                continue
            }
            guard (0...1_000_000).contains(endpoint.weight) else {
                problems.append("endpoints[\(index)].weight is not 0 to 1000000")
                continue
            }
            guard known.insert(url).inserted else {
                problems.append("endpoints[\(index)].url is the URL of an earlier entry")
                continue
            }
            listings.append(EndpointListing(place: .url(url), weight: endpoint.weight, zone: endpoint.zone))
        }
        if !listings.isEmpty, listings.allSatisfy({ $0.weight == 0 }) {
            problems.append("endpoints has no entry with a weight above 0")
        }
    }
}
