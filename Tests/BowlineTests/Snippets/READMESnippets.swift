import Bowline
import BowlineTesting
import Testing

/// The snippets of README.md in their order, with the imports that it shows. Nothing here is run.
private enum READMESnippets {
    struct User: Codable, Sendable {
        var name: String
    }

    struct NewUser: Codable, Sendable {
        var name: String
    }

    static func snippet1() async throws {
        struct User: Codable { var name: String }
        struct NewUser: Codable { var name: String }

        let client = try ServiceClient(baseURL: "https://api.example.com/v1") {
            $0.retry.maximumAttempts = 4
            $0.timeouts.total = .seconds(20)
            $0.pool = .highThroughput
        }
        let user = try await client.get("users/42").decode(User.self)
        let made = try await client.post("users", json: NewUser(name: "Ada")).expecting(.created).decode(User.self)
        print(user.name, made.name)

        let report = await client.shutdown(within: .seconds(10))  // drains, then closes
        print("clean: \(report.isClean), drained: \(report.drained)")
    }

    static func snippet2(_ client: ServiceClient) async throws {
        do {
            _ = try await client.delete("users/42").expecting(.noContent)
        } catch let error as ServiceError {
            guard let refused = error.unexpectedStatus else { throw error }
            print(refused.status, refused.text)  // up to 64 KiB of it
        }
    }

    static func snippet3(_ client: ServiceClient) async throws {
        _ = try await client.post("login", body: .form(["user": "ada", "keep": true]))
        _ = try await client.put("backups/today", body: .file("backup.tar"))
        _ = try await client.post("reports", body: .text("fine"), fields: [.contentType: "text/plain; charset=utf-8"]) {
            $0.idempotency = .idempotent
            $0.timeouts.total = .seconds(5)
        }
        let export = try await client.get("export", query: ["year": 2026]) { $0.timeouts.total = .unlimited }
        for try await chunk in export.body {
            print(chunk.readableBytes)
        }
        try await client.download("photos/7", to: "7.jpg")
    }

    struct Users {
        let client: ServiceClient

        static let find = Endpoint<Int, User>(.get, "users/{id}") { id, request in request.path["id"] = id }
        static let add = Endpoint<NewUser, User>(.post, "users", expecting: [.created]) { user, request in
            try request.encode(user)
        }

        func find(_ id: Int) async throws -> User { try await client.call(Self.find, id) }
        func add(_ name: String) async throws -> User { try await client.call(Self.add, NewUser(name: name)) }
    }

    static func snippet5(_ client: ServiceClient) async throws {
        let patient = try client.with { $0.timeouts.total = nil }
        _ = try await patient.get("slow")
        let users = try client.scoped(to: "teams/42/users", fields: [.acceptLanguage: "cy"])
        let team = try await users.get("all").decode([User].self)
        print(team.count)
    }

    static func snippet6(_ client: ServiceClient) async throws {
        let name = "rope & anchor/2026.txt"
        let file = try await client.get("files/\(PercentEncoding.segment(name))")
        print(file.status, file.fields)
    }

    static func snippet7() async throws {
        try await withServiceClient("https://api.example.com") { client in
            _ = try await client.head("health")
        }
    }

    static func snippet8(_ client: ServiceClient) async throws {
        do {
            let response = try await client.get("users/42")
            print(response.connection?.isReused ?? false, response.resends, response.timings.dial ?? .zero)
        } catch let error as ServiceError {
            print(error.code, error.progress, error.phase ?? .pipeline, error.elapsed ?? .zero)
        }
    }

    static func snippet9() async throws {
        let stub = StubTransport()
        stub.on(.get, "/v1/users/{id}", always: .respond(.ok, body: #"{"name":"Ada"}"#))
        let client = try ServiceClient(baseURL: "https://api.example.com/v1", transport: stub)
        #expect(try await client.get("users/42").status == .ok)
        try stub.verify()
    }

    static func snippet10() async throws {
        try await withLoopbackServer { server in
            let replies: [ScriptedReply] = [.reply(200, body: "first").thenClose(), .reply(200, body: "second")]
            server.route(.get, "/users/42", inOrder: replies)
            try await withServiceClient(server.baseURL) { client in
                for _ in 1...2 { _ = try await client.get("users/42").body.collect(upTo: 100) }
            }
            #expect(server.connections.count == 2)
        }
    }
}
