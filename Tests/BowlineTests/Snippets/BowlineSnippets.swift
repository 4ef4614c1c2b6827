import Bowline

/// The snippets of Sources/Bowline/Bowline.docc/Bowline.md in their order, with the imports that it shows. Nothing here is run.
private enum BowlineSnippets {
    struct User: Codable, Sendable {
        var name: String
    }

    static func snippet1() async throws {
        let client = try ServiceClient(baseURL: "https://api.example.com/v1") {
            $0.retry.maximumAttempts = 4
            $0.timeouts.total = .seconds(20)
        }
        let user = try await client.get("users/42").decode(User.self)
        let report = await client.shutdown(within: .seconds(10))
        print(user.name, report.isClean)
    }
}
