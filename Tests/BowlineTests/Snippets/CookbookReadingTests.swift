import Bowline
import BowlineTesting
import Foundation
import NIOCore
import Testing

/// Runs the recipes of Docs/Cookbook.md about what a service says.
@Suite("Recipes of the cookbook: reading", .timeLimit(.minutes(1)))
struct CookbookReadingTests {
    private typealias Order = CookbookReading.Order

    private let recipes = CookbookReading()
    private static let link = HTTPField.Name("Link")!

    private func withService(_ body: (LoopbackServer, ServiceClient) async throws -> Void) async throws {
        try await withLoopbackServer { server in
            try await withServiceClient(server.url("/v1"), configure: { $0.retry = .never }) { client in
                try await body(server, client)
            }
            #expect(server.problems.isEmpty)
        }
    }

    @Test("A list is paged by its Link fields, from the root of the service, and the last page ends it")
    func links() async throws {
        try await withService { server, client in
            server.route(.get, "/v1/orders") { request in
                if request.target.contains("page=2") { return .reply(200, body: #"[{"id":3}]"#) }
                let next = #"</v1/orders?limit=100&page=2>; rel="next""#
                return .reply(200, fields: [Self.link: next], body: #"[{"id":1},{"id":2}]"#)
            }
            let orders = try await recipes.allOrders(client)
            #expect(orders.map(\.id) == [1, 2, 3])
            #expect(server.requests.map(\.target) == ["/v1/orders?limit=100", "/v1/orders?limit=100&page=2"])
        }
    }

    @Test("A list that goes on at another origin ends there")
    func foreignLink() async throws {
        try await withLoopbackServer { other in
            try await withService { server, client in
                let next = "<\(other.url("/v1/orders"))>; rel=next"
                server.route(.get, "/v1/orders", always: .reply(200, fields: [Self.link: next], body: #"[{"id":1}]"#))
                let orders = try await recipes.allOrders(client)
                #expect(orders.map(\.id) == [1])
            }
            #expect(other.requests.isEmpty)
        }
    }

    @Test("A list is paged by a cursor, which is sent as the service wrote it")
    func cursor() async throws {
        try await withService { server, client in
            server.route(
                .get, "/v1/orders",
                inOrder: [
                    .reply(200, body: #"{"orders":[{"id":1}],"next":"a b&c"}"#),
                    .reply(200, body: #"{"orders":[{"id":2},{"id":3}]}"#),
                ])
            var seen: [Int] = []
            try await recipes.eachOrder(client) { seen.append($0.id) }
            #expect(seen == [1, 2, 3])
            #expect(server.requests.map(\.target) == ["/v1/orders", "/v1/orders?cursor=a%20b%26c"])
        }
    }

    @Test("Values come line by line, and the request names the wanted form")
    func ndjson() async throws {
        try await withService { server, client in
            server.route(
                .get, "/v1/orders/export",
                always: .reply(200, body: "{\"id\":1}\n\n{\"id\":2,\"note\":\"x\"}\n", framing: .chunks(of: 5)))
            var seen: [Order] = []
            try await recipes.importOrders(client) { seen.append($0) }
            #expect(seen == [Order(id: 1), Order(id: 2, note: "x")])
            #expect(server.requests.map { $0[.accept] } == ["application/x-ndjson"])
        }
    }

    @Test("A stream of events that breaks off goes on after the last event, until the service ends it")
    func events() async throws {
        let whole = ScriptedResponse(200, body: "retry: 0\nid: 7\ndata: a\n\n", framing: .chunked).bytes()
        let length = whole.readableBytes - "0\r\n\r\n".utf8.count
        let withoutEnd = try #require(whole.getSlice(at: whole.readerIndex, length: length))
        // The connection ends once the first event has been read.
        let hasRead = Gate()
        try await withService { server, client in
            server.route(
                .get, "/v1/orders/events",
                inOrder: [
                    .bytes(withoutEnd).then(.close.held(by: hasRead)), .reply(200, body: "id: 8\ndata: b\n\n"),
                    .reply(204),
                ])
            var seen: [String] = []
            try await recipes.follow(client) { event in
                seen.append(event.data)
                hasRead.open()
            }
            #expect(seen == ["a", "b"])
            #expect(server.requests.map { $0[CookbookReading.lastEventID] } == [nil, "7", "8"])
        }
    }

    @Test("An unchanged answer is not sent again")
    func conditional() async throws {
        try await withService { server, client in
            server.route(.get, "/v1/orders") { request in
                if request[.ifNoneMatch] == "\"1\"" { return .reply(304, fields: [.eTag: "\"1\""]) }
                return .reply(200, fields: [.eTag: "\"1\""], body: #"[{"id":1}]"#)
            }
            let first = try await recipes.refreshed(nil, client)
            let second = try await recipes.refreshed(first, client)
            #expect(first.tag == "\"1\"")
            #expect(second.orders == [Order(id: 1)])
            #expect(server.requests.map { $0[.ifNoneMatch] } == [nil, "\"1\""])
        }
    }

    @Test("A change is made to the version that was read, and to no other", arguments: [true, false])
    func match(isCurrent: Bool) async throws {
        try await withService { server, client in
            server.route(.get, "/v1/orders/{id}", always: .reply(200, fields: [.eTag: "\"1\""], body: #"{"id":7}"#))
            server.route(.put, "/v1/orders/{id}") { request in
                isCurrent ? .reply(200, body: request.bodyText) : .reply(412)
            }
            let changed = try await recipes.change(7, client) { $0.note = "fragile" }
            #expect(changed == (isCurrent ? Order(id: 7, note: "fragile") : nil))
            #expect(server.requests.map { $0[.ifMatch] } == [nil, "\"1\""])
        }
    }

    @Test("A change without a version is not made")
    func matchWithoutTag() async throws {
        try await withService { server, client in
            server.route(.get, "/v1/orders/{id}", always: .reply(200, body: #"{"id":7}"#))
            let error = await Requests.failure { try await recipes.change(7, client) { $0.note = "fragile" } }
            #expect((error as? ServiceError)?.code == .protocolViolation)
            #expect(server.requests.map(\.method) == [.get])
        }
    }

    @Test("A job is polled as often as the service says, and its result decoded")
    func polling() async throws {
        let (stub, clock) = (StubTransport(), TestClock())
        stub.on(.post, "/v1/reports", always: .respond(.accepted, fields: [.location: "/v1/jobs/7"]))
        let later = StubAnswer.respond(.accepted, fields: [.retryAfter: "5"])
        stub.on(.get, "/v1/jobs/7", inOrder: [later, .respond(.accepted), .respond(.ok, body: #"{"rows":12}"#)])
        let client = try ServiceClient(baseURL: "https://api.example.com/v1", transport: stub) { $0.useOnly(clock) }
        let recipes = recipes
        async let report = recipes.report(client)
        try await clock.advance(toSleeperAt: 5)
        try await clock.advance(toSleeperAt: 7)
        #expect(try await report.rows == 12)
        #expect(stub.calls.map(\.path) == ["/v1/reports", "/v1/jobs/7", "/v1/jobs/7", "/v1/jobs/7"])
        #expect(stub.calls.first?.fields[CookbookSending.Webhooks.idempotencyKey] != nil)
        try stub.verify()
    }

    @Test("A job whose next poll would come after its deadline fails without a wait")
    func pollingTooLong() async throws {
        let (stub, clock) = (StubTransport(), TestClock())
        stub.on(.post, "/v1/reports", always: .respond(.accepted, fields: [.location: "/v1/jobs/7"]))
        stub.on(.get, "/v1/jobs/7", always: .respond(.accepted, fields: [.retryAfter: "10"]))
        let client = try ServiceClient(baseURL: "https://api.example.com/v1", transport: stub) { $0.useOnly(clock) }
        let error = await Requests.failure { try await recipes.report(client, within: .seconds(10)) }
        #expect((error as? ServiceError)?.code == .deadlineExceeded)
        #expect(stub.calls.count == 2)
        #expect(clock.now == MonotonicInstant(nanoseconds: 0))
    }

    @Test("An export is written to a file as it comes; one that breaks off leaves the old file unchanged")
    func download() async throws {
        let export = "id\n" + (1...20_000).map { "\($0)\n" }.joined()
        let first = ScriptedResponse(200, body: export)
        try await withTemporaryFolder { folder in
            try await withService { server, client in
                server.route(
                    .get, "/v1/orders/export",
                    inOrder: [.reply(first), .cut(after: 1000, of: ScriptedResponse(200, body: "other" + export))])
                let path = folder.file("orders.csv")
                let bytes = Guarded(0)
                let size = try await recipes.saveExport(client, to: path) { progress in
                    bytes.withLock { $0 = progress.bytes }
                }
                #expect(size == export.utf8.count)
                #expect(bytes.withLock { $0 } == size)
                let error = await Requests.failure { try await recipes.saveExport(client, to: path) { _ in } }
                #expect((error as? ServiceError)?.code == .incompleteBody)
                #expect(try folder.read("orders.csv") == Data(export.utf8))
                #expect(try folder.names() == ["orders.csv"])
                #expect(server.requests.map { $0[.accept] } == ["text/csv", "text/csv"])
            }
        }
    }
}

extension TestClock {
    /// Moves the clock to so many seconds after its start, once the first sleeper waits for that time.
    func advance(toSleeperAt seconds: Int) async throws {
        let instant = MonotonicInstant(nanoseconds: 0).advanced(by: .seconds(seconds))
        try await eventually("a sleeper until \(seconds) s") { nextDeadline == instant }
        advance(to: instant)
    }
}
