import Bowline

/// The snippets of Docs/Retries.md in their order, with the imports that it shows. Nothing here is run.
private enum RetriesSnippets {
    static func snippet1() async throws {
        let client = try ServiceClient(baseURL: "https://api.example.com") {
            $0.retry.maximumAttempts = 4
            $0.timeouts.attempt = .seconds(2)  // so that there is time for another one
            $0.timeouts.total = .seconds(10)
            $0.retry.onDecision = { decision in
                print(decision.attempt, decision.cause, decision.verdict, decision.budgetLeft ?? -1)
            }
        }
        let quick = try await client.get("status") { $0.retry = .never }
        print(quick.attempts)
    }

    static func snippet2() async throws {
        let client = try ServiceClient(baseURL: "https://api.example.com") {
            $0.retry.backoff = .exponential(base: .milliseconds(100), maximum: .seconds(5))
            $0.retry.shouldRetry = { outcome in
                if outcome.fields[.retryAfter] == nil, outcome.status == .conflict { return .yes }
                return outcome.status == .serviceUnavailable && outcome.retries > 0 ? .no : .asUsual
            }
        }
        print(client)
    }
}
