internal import BowlineCore

extension ClientConfiguration {
    /// Returns a problem if there is a list of base URLs, but no base URL that they replace.
    func endpointProblems(base: ServiceURL?) -> [ConfigurationProblem] {
        guard base == nil, let balancing = resilience.balancing else { return [] }
        if case .addresses = balancing.endpoints { return [] }
        let reason = "needs a client with a base URL, which the endpoints replace"
        return [ConfigurationProblem("resilience.balancing.endpoints", reason)]
    }
}
