internal import Bowline
internal import BowlineTesting

extension SimulationPlan.Tokens {
    /// Makes an authenticator whose tokens are `token-1`, `token-2` …
    func authentication(_ time: VirtualTime) -> BearerAuthentication {
        let random = time.makeRandom("tokens").source()
        let made = TokenCount()
        return BearerAuthentication(leeway: .milliseconds(100), fetchTimeout: .seconds(2)) {
            if delay > .zero { try await time.sleep(for: delay) }
            guard random() >= failureChance else {
                time.note("tokens: fails")
                throw TokenFailure()
            }
            made.count += 1
            time.note("tokens: token-\(made.count)")
            return BearerToken("token-\(made.count)", lifetime: lifetime)
        }
    }
}

/// How many tokens were made.
// Safety: used on the simulation's thread only.
private final class TokenCount: @unchecked Sendable {
    var count = 0
}

/// The error of a source of tokens.
private struct TokenFailure: Error {}
