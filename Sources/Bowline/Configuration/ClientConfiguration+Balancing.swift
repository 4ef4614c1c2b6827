internal import BowlineCore

extension ClientConfiguration {
    /// Refuses a list of base URLs if there is no base URL that they replace.
    func requireBaseOfEndpoints(base: ServiceURL?) throws {
        guard base == nil, let balancing = resilience.balancing else { return }
        if case .addresses = balancing.endpoints { return }
        let reason = "needs a client with a base URL, which the endpoints replace"
        try [ConfigurationProblem("resilience.balancing.endpoints", reason)].throwIfAny()
    }
}
