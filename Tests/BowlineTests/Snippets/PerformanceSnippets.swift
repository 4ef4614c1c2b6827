import Bowline

/// The snippets of Docs/Performance.md in their order, with the imports that it shows. Nothing here is run.
private enum PerformanceSnippets {
    struct User: Decodable {
        var name: String
    }

    static func snippet1() async throws {
        try await withServiceClient("https://api.example.com", isOnEventLoop: true) { client in
            let user = try await client.get("users/42").decode(User.self)
            print(user.name)
        }
    }

    static func snippet2(_ client: ServiceClient, _ ids: [Int]) async {
        // None over a transport of your own, a stub for example.
        let executors = client.eventLoopExecutors
        await withTaskGroup(of: Void.self) { group in
            for (index, id) in ids.enumerated() {
                group.addTask(executorPreference: executors.isEmpty ? nil : executors[index % executors.count]) {
                    _ = try? await client.get("users/\(id)")
                }
            }
        }
    }
}
