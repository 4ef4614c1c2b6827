import Bowline

/// The snippets of Docs/Timeouts.md in their order, with the imports that it shows. Nothing here is run.
private enum TimeoutsSnippets {
    struct User: Codable, Sendable {
        var name: String
    }

    struct Order: Codable, Sendable {
        var id: Int
    }

    static func snippet1() async throws {
        let client = try ServiceClient(baseURL: "https://api.example.com") {
            $0.timeouts.total = .seconds(10)
            $0.timeouts.attempt = .seconds(3)
        }
        let export = try await client.get("export") {
            $0.timeouts = .streaming  // a long body: no total, no attempt; bodyIdle still limits it
            $0.timeouts.bodyIdle = .seconds(5)
        }
        print(export.status)
    }

    static func snippet2(_ client: ServiceClient) async throws {
        let answer = try await Deadline.with(.after(.seconds(1))) {
            let user = try await client.get("users/42").decode(User.self)
            let orders = try await client.get("users/42/orders").decode([Order].self)
            return (user, orders)
        }
        print(answer)
    }
}
