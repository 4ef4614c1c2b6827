import Bowline
import BowlineTesting
import Foundation
import Logging
import NIOCore
import ServiceLifecycle
import Testing
import UnixSignals

/// Every Swift snippet of the documentation, so that the compiler sees it; `DocumentedSnippetTests` compares the two.
///
/// Nothing here is run. A snippet stands in one piece, in a function that gives it the names it takes for granted.
private enum DocumentedSnippets {
    protocol Sink {
        func write(_ chunk: ByteBuffer) async throws
    }

    // MARK: README.md

    static func quickStart() async throws {
        let client = try ServiceClient(baseURL: "https://api.example.com/v1") {
            $0.timeouts.total = .seconds(20)
            $0.pool = .highThroughput
        }

        let response = try await client.get("users/42")
        if response.status == .ok {
            let bytes = try await response.body.collect(upTo: 1 << 20)
            print(String(buffer: bytes))
        }

        let report = await client.shutdown(within: .seconds(10))
        print("clean: \(report.isClean), drained: \(report.drained)")
    }

    static func sending(_ client: ServiceClient) async throws {
        var request = ServiceRequest.post("reports", body: .text("…"))
        try request.setField("Content-Type", "text/plain; charset=utf-8")
        request.options.idempotency = .idempotent
        request.options.timeouts.total = .seconds(5)
        let answer = try await client.send(request)
        print(answer.status)
    }

    struct Order: Codable, Sendable {
        var id: Int
    }

    static func bodies(
        _ client: ServiceClient, order: Order, lines: AsyncStream<ByteBuffer>, chunks: AsyncStream<ByteBuffer>,
        size: Int, reopen: @escaping @Sendable () throws -> AsyncStream<ByteBuffer>,
        sum: @escaping @Sendable () -> String
    ) async throws {
        let json = try JSONEncoder().encode(order)
        let created = try await client.post("orders", body: .bytes(json), fields: [.contentType: "application/json"])
        let bytes = try await created.body.collect(upTo: 1 << 20)
        let stored = try JSONDecoder().decode(Order.self, from: Data(bytes.readableBytesView))

        // `digest` is an `HTTPField.Name` of yours: HTTPField.Name("Repr-Digest")
        _ = try await client.put("log", body: .stream(lines))
        _ = try await client.put("backup", body: .replayable(length: size) { try reopen() })
        _ = try await client.put("sums", body: .stream(chunks).trailers { [.digest: sum()] })
        print(stored.id)
    }

    static func streaming(_ client: ServiceClient, sink: some Sink) async throws {
        var export = ServiceRequest.get("export")
        export.options.timeouts.total = .unlimited
        for try await chunk in try await client.send(export).body {
            try await sink.write(chunk)
        }
    }

    static func encoding(_ client: ServiceClient, name: String) async throws {
        let file = try await client.get("files/\(PercentEncoding.segment(name))")
        print(file.status, file.fields)
    }

    static func scope() async throws {
        try await withServiceClient("https://api.example.com") { client in
            _ = try await client.head("health")
        }
    }

    static func looking(_ client: ServiceClient) async throws {
        do {
            let response = try await client.get("users/42")
            print(response.connection?.isReused ?? false, response.resends, response.timings.dial ?? .zero)
        } catch let error as ServiceError {
            print(error.code, error.progress, error.phase ?? .pipeline, error.elapsed ?? .zero)
        }
    }

    static func stubbing() async throws {
        let stub = StubTransport()
        stub.on(.get, "/v1/users/{id}", always: .respond(.ok, body: #"{"name":"Ada"}"#))
        let client = try ServiceClient(baseURL: "https://api.example.com/v1", transport: stub)
        #expect(try await client.get("users/42").status == .ok)
        try stub.verify()
    }

    static func serving() async throws {
        try await withLoopbackServer { server in
            let replies: [ScriptedReply] = [.reply(200, body: "first").thenClose(), .reply(200, body: "second")]
            server.route(.get, "/users/42", inOrder: replies)
            try await withServiceClient(server.baseURL) { client in
                for _ in 1...2 { _ = try await client.get("users/42").body.collect(upTo: 100) }
            }
            #expect(server.connections.count == 2)
        }
    }

    // MARK: Docs/Defaults.md

    static func configuring() throws -> ServiceClient {
        let client = try ServiceClient(baseURL: "https://api.example.com/v1") {
            $0.timeouts.total = .seconds(20)
            $0.pool.maximumPerOrigin = 32
        }
        return client
    }

    static func overriding(_ client: ServiceClient) async throws {
        var request = ServiceRequest.post("reports", body: .text("…"))
        request.options.idempotency = .idempotent
        request.options.timeouts.total = .seconds(5)
        let response = try await client.send(request)
        print(response.status)
    }

    // MARK: Docs/Errors.md

    static func catching(_ client: ServiceClient) async throws {
        do {
            let response = try await client.get("users/42")
            print(response.status)
        } catch let error as ServiceError where error.code == .deadlineExceeded {
            print("too late", error.phase ?? .pipeline, error.elapsed ?? .zero)  // what it was doing, and for how long
        } catch let error as ServiceError where error.progress == .neverSent {
            print("the service has not seen it", error)
        }
    }

    // MARK: Docs/ConnectionReuse.md

    static func reuse(_ client: ServiceClient) async throws {
        let response = try await client.get("users/42")
        print(response.connection?.id ?? 0, response.connection?.isReused ?? false, response.connection?.requests ?? 0)
        print(response.resends, response.timings.dial ?? .zero)  // timings.dial is nil on a reused connection

        let snapshot = client.pool.snapshot()
        print(snapshot.opened, snapshot.idle, snapshot.active, snapshot.dialling, snapshot.waiting, snapshot.closed)
        for origin in snapshot.origins { print(origin.origin, origin.idle, origin.closed) }
    }

    // MARK: Docs/Shutdown.md

    static func reporting(_ client: ServiceClient) async {
        let report = await client.shutdown(within: .seconds(10))
        print(report.isClean, report.drained, report.connectionsClosed, report.duration)
        for call in report.forced {
            print(call.method, call.target, call.phase, call.attempt, call.age)
        }
    }

    static func watching(_ client: ServiceClient) async {
        for await progress in client.shutdownProgress {
            print(progress.state, progress.inFlight)
        }
    }

    static func scopedResult() async throws {
        let status = try await withServiceClient("https://api.example.com") { client in
            try await client.get("health").status
        }
        print(status)
    }

    static func grouping(_ client: ServiceClient, _ server: any Service) async throws {
        let group = ServiceGroup(
            services: [client, server], gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: "app")
        )
        try await group.run()
    }
}

extension HTTPField.Name {
    fileprivate static let digest = HTTPField.Name("Repr-Digest")!
}
