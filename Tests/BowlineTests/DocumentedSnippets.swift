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

    struct User: Codable, Sendable {
        var name: String
    }

    struct NewUser: Codable, Sendable {
        var name: String
    }

    struct Order: Codable, Sendable {
        var id: Int
    }

    static func quickStart() async throws {
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

    static func expecting(_ client: ServiceClient) async throws {
        do {
            _ = try await client.delete("users/42").expecting(.noContent)
        } catch let error as ServiceError {
            guard let refused = error.unexpectedStatus else { throw error }
            print(refused.status, String(buffer: refused.body))  // up to 64 KiB of it
        }
    }

    static func bodies(
        _ client: ServiceClient, report: String, patient: @escaping ServiceClient.OptionsChange, sink: some Sink
    ) async throws {
        _ = try await client.post("login", body: .form(["user": "ada", "keep": true]))
        _ = try await client.put("backups/today", body: .file("backup.tar"))
        _ = try await client.post("reports", body: .text(report), fields: [.contentType: "text/plain; charset=utf-8"]) {
            $0.idempotency = .idempotent
            $0.timeouts.total = .seconds(5)
        }
        for try await chunk in try await client.get("export", query: ["year": 2026], options: patient).body {
            try await sink.write(chunk)
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

    static func deriving(_ client: ServiceClient) async throws {
        let patient = try client.with { $0.timeouts.total = nil }
        let orders = try client.scoped(to: "customers/42/orders", headers: [.acceptLanguage: "cy"])
        let open = try await orders.get("open").decode([Order].self)
        _ = try await patient.get("slow")
        print(open.count)
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

    // MARK: Docs/Requests.md

    static func querying(_ client: ServiceClient, cursor: String?) async throws {
        let found = try await client.get("search", query: ["q": "a&b = c", "limit": 10, "cursor": cursor])
        var query: QueryItems = ["sort": "name"]
        query.append("tag", each: ["red", "blue"])
        let tagged = try await client.get("items", query: query)
        print(found.status, tagged.status)
    }

    static func optioning(_ client: ServiceClient, job: Order) async throws {
        let response = try await client.post("jobs", json: job) {
            $0.idempotency = .idempotent
            $0.timeouts.attempt = .seconds(3)
            $0.onUploadProgress = { print($0.bytes, $0.fraction ?? 0) }
        }
        print(response)  // status, connection, attempts; never a field or the body
    }

    static func multipart(_ client: ServiceClient, lines: AsyncStream<ByteBuffer>) async throws {
        var form = MultipartForm()
        form.append("title", "Holidays")
        form.append("photo", file: try await .file("beach.jpg"), fileName: "beach.jpg", contentType: "image/jpeg")
        form.append("log", file: .stream(lines), fileName: "log.txt", contentType: "text/plain")
        let album = try await client.post("albums", body: .multipart(form))
        print(album.status)
    }

    struct Problem: Codable, Sendable {
        var detail: String
    }

    static func deciding(_ client: ServiceClient) async throws {
        let response = try await client.get("users/0").expecting(.ok, .notFound)
        if response.status == .notFound {
            print(try await response.decode(Problem.self).detail)
        }
    }

    static func coding() throws -> ServiceClient {
        let client = try ServiceClient(baseURL: "https://api.example.com") {
            let encoder = JSONEncoder.json
            encoder.keyEncodingStrategy = .convertToSnakeCase
            $0.encoder = encoder
            let decoder = JSONDecoder.json
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            $0.decoder = decoder
        }
        return client
    }

    static func downloading(_ client: ServiceClient) async throws {
        let size = try await client.download("exports/2026.csv", to: "2026.csv") { options in
            options.timeouts.total = .unlimited
            options.onDownloadProgress = { print($0.fraction ?? 0) }
        }
        print(size)
    }

    struct Filter: Sendable {
        var customer: Int
        var limit: Int?
    }

    struct Orders {
        let client: ServiceClient

        static let list = Endpoint<Filter, [Order]>(.get, "customers/{customer}/orders") { filter, request in
            request.path["customer"] = filter.customer
            request.query["limit"] = filter.limit
        }
        static let cancel = Endpoint<Int, Void>(.post, "orders/{id}/cancel", options: repeatable) { id, request in
            request.path["id"] = id
        }
        static let export = Endpoint<Void, ServiceResponse>(.get, "export")

        static let repeatable = RequestOptions {
            $0.idempotency = .idempotent
            $0.retry = .never
        }

        func cancel(_ id: Int) async throws { try await client.call(Self.cancel, id) }
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

    // MARK: Docs/Middleware.md

    struct RequestID: ServiceMiddleware {
        let name: HTTPField.Name

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            var request = request
            request.fields[name] = UUID().uuidString
            let response = try await next(request, context: context)
            print(request.method, response.status, response.attempts)
            return response
        }
    }

    static func registering(requestID: HTTPField.Name) throws {
        let client = try ServiceClient(baseURL: "https://api.example.com") {
            $0.middleware.perCall = [RequestID(name: requestID)]  // perAttempt: one for each attempt
        }
        _ = client
    }

    struct TokenAnswer: Decodable, Sendable {
        var accessToken: String
        var expiresIn: Int
    }

    static func authenticating(identity: ServiceClient) throws {
        let client = try ServiceClient(baseURL: "https://api.example.com") {
            $0.authentication = BearerAuthentication {
                let answer = try await identity.post("token").decode(TokenAnswer.self)
                return BearerToken(answer.accessToken, lifetime: .seconds(answer.expiresIn))
            }
            $0.authenticatedOrigins = ["https://files.example.com"]
        }
        _ = client
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

    // MARK: Docs/Retries.md

    static func retries() async throws {
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

    // MARK: Docs/Timeouts.md

    static func timeouts() async throws {
        let client = try ServiceClient(baseURL: "https://api.example.com") {
            $0.timeouts.total = .seconds(10)
            $0.timeouts.attempt = .seconds(3)
        }
        let export = try await client.get("export") {
            $0.timeouts.total = .unlimited  // a long body; bodyIdle still watches it
            $0.timeouts.bodyIdle = .seconds(5)
        }
        print(export.status)
    }

    static func inheritedDeadline(_ client: ServiceClient) async throws {
        let answer = try await Deadline.with(.after(.seconds(1))) {
            let user = try await client.get("users/42").decode(User.self)
            let orders = try await client.get("users/42/orders").decode([Order].self)
            return (user, orders)
        }
        print(answer)
    }

    // MARK: Docs/Testing.md

    static func stubbed() async throws {
        let stub = StubTransport()
        stub.on(
            .get, "/v1/users/{id}",
            always: .respond(fields: [.contentType: "application/json"], body: #"{"name":"Ada"}"#))
        stub.on(.post, "/v1/users", inOrder: [.fail(.connectionRefused, progress: .neverSent), .respond(.created)])

        let client = try ServiceClient(baseURL: "https://api.example.com/v1", transport: stub) {
            $0.retry.baseDelay = .zero
        }
        let user = try await client.get("users/42").decode(User.self)
        let made = try await client.post("users", json: NewUser(name: "Ada"))
        #expect(user.name == "Ada")
        #expect(made.status == .created && made.attempts == 2)
        #expect(stub.calls.count == 3)
        try stub.verify()
    }

    static func timed() async throws {
        let clock = TestClock()
        let stub = StubTransport()
        stub.on(.get, "/report", inOrder: [.respond(.serviceUnavailable, fields: [.retryAfter: "20"]), .respond(.ok)])
        let client = try ServiceClient(baseURL: "https://api.example.com", transport: stub) { $0.clock = clock }

        async let response = client.get("report")
        try await stub.waitForCalls(count: 1)
        try await clock.waitForSleepers(count: 1)
        clock.advance(by: .seconds(20))
        #expect(try await response.attempts == 2)
    }

    static func looped() async throws {
        try await withLoopbackServer { server in
            server.route(.get, "/orders", inOrder: [.nothing.thenClose(), .reply(200, body: "[]")])
            try await withServiceClient(server.baseURL) { client in
                let orders = try await client.get("orders").decode([Order].self)
                #expect(orders.isEmpty)
            }
            #expect(server.requests.count == 2)
            #expect(server.connections.count == 2)
        }
    }

    static func firstCall() async throws {
        let client = try ServiceClient(baseURL: "https://api.example.com/v1") {
            $0.retry.maximumAttempts = 4
            $0.timeouts.total = .seconds(20)
        }
        let user = try await client.get("users/42").decode(User.self)
        let report = await client.shutdown(within: .seconds(10))
        print(user.name, report.isClean)
    }

    struct AttemptNumber: ServiceMiddleware {
        let name: HTTPField.Name

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            var request = request
            request.fields[name] = "\(context.attempt)"
            return try await next(request, context: context)
        }
    }

    static func encrypted() async throws {
        try await withLoopbackServer(.tls()) { server in
            server.respond { _ in .reply(200) }
            try await withServiceClient(
                server.baseURL, configure: { $0.tls.trustRoots = .pem(TestCertificates.authority) }
            ) { client in
                let response = try await client.get("/")
                #expect(response.status == .ok)
            }
        }
    }

    static func inBytes(_ server: LoopbackServer) {
        server.onConnection { connection in
            _ = try await connection.readRequest()
            try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            try await connection.closeNow()
        }
    }

    static func http2(_ client: ServiceClient) async throws {
        let response = try await client.get("users/42")
        if let connection = response.connection {
            print(connection.protocolVersion.rawValue, "stream", connection.stream ?? 0)
        }
        print(client.pool.snapshot().streams, "requests on HTTP/2 connections now")
    }

    static func watched() throws -> ServiceClient {
        struct SlowWaits: ServiceEventListener {
            func requestDequeued(_ event: RequestEvent, waited: Duration) {
                if waited > .milliseconds(100) { print("\(event.origin) kept \(event.target) waiting for \(waited)") }
            }
        }

        let client = try ServiceClient(baseURL: "https://api.example.com") {
            $0.telemetry.events = [SlowWaits()]
        }
        return client
    }
}
