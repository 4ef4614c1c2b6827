internal import BowlineCore

extension ClientConfiguration {
    /// Returns a problem if there is an authenticator, but no origin that may see its credentials.
    func credentialProblems(base: ServiceURL?) -> [ConfigurationProblem] {
        guard authentication != nil, base == nil, authenticatedOrigins.isEmpty else { return [] }
        let reason = "needs to know whom it is for: a base URL, or authenticatedOrigins"
        return [ConfigurationProblem("authentication", reason)]
    }

    /// The origins that may see the credentials.
    func originsOfCredentials(base: ServiceURL?) -> [Origin] {
        [base?.origin].compactMap { $0 } + authenticatedOrigins.compactMap { try? ServiceURL($0).origin }
    }

    func authenticationProblems() -> [ConfigurationProblem] {
        var problems = (authentication as? any BoundedAuthenticator)?.problems(at: "authentication") ?? []
        for (index, origin) in authenticatedOrigins.enumerated() {
            do {
                _ = try ServiceURL(origin)
            } catch {
                let reason = (error as? ServiceError)?.message ?? "is no URL"
                problems.append(ConfigurationProblem("authenticatedOrigins[\(index)]", reason))
            }
        }
        return problems
    }
}
