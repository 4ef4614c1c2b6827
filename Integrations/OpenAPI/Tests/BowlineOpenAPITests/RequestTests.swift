import Bowline
import BowlineOpenAPI
import BowlineTesting
import Foundation
import OpenAPIRuntime
import Testing

@Suite("Requests of operations", .timeLimit(.minutes(1)))
struct RequestTests {
    private static let tag = HTTPField.Name("X-Tag")!
    private static let key = HTTPField.Name("X-Key")!

    /// Notes the paths that the runtime hands to its transport.
    private struct PathRecorder: ClientMiddleware {
        let paths = Collected<String?>()

        func intercept(
            _ request: HTTPRequest, body: HTTPBody?, baseURL: URL, operationID: String,
            next: @Sendable (HTTPRequest, HTTPBody?, URL) async throws -> (HTTPResponse, HTTPBody?)
        ) async throws -> (HTTPResponse, HTTPBody?) {
            paths.append(request.path)
            return try await next(request, body, baseURL)
        }
    }

    @Test("JSON goes both ways: method, target, fields and values")
    func json() async throws {
        try await withOrders(configure: { $0.fields = [Self.key: "k"] }) { service in
            service.server.route(.post, "/v1/orders") { _ in
                .reply(201, fields: [.contentType: "application/json"], body: #"{"id":"42","quantity":3}"#)
            }
            let placed = try await service.api.placeOrder(OrdersAPI.Order(id: "", quantity: 3, note: "à la carte"))
            #expect(placed == OrdersAPI.Order(id: "42", quantity: 3, note: nil))

            let request = try #require(service.server.requests.first)
            #expect(request.method == .post)
            #expect(request.target == "/v1/orders")
            #expect(request[.contentType] == "application/json; charset=utf-8")
            #expect(request[.accept] == "application/json")
            #expect(request[.contentLength] == "\(request.bodyLength)")
            #expect(request[.transferEncoding] == nil)
            #expect(request[Self.key] == "k")
            let sent = try JSONDecoder().decode(OrdersAPI.Order.self, from: Data(request.bodyText.utf8))
            #expect(sent == OrdersAPI.Order(id: "", quantity: 3, note: "à la carte"))
        }
    }

    @Test(
        "the target is the server URL's path and the operation's path, encoded as they were",
        arguments: [
            ("", "/", "/"),
            ("", "/orders", "/orders"),
            ("/v1", "/orders", "/v1/orders"),
            ("/v1/", "/orders", "/v1/orders"),
            ("/v1", "/", "/v1/"),
            ("/v1", "/orders/", "/v1/orders/"),
            ("/v1", "/files//a", "/v1/files//a"),
            ("/v1", "/orders?", "/v1/orders?"),
            ("/v1", "/orders?a=1&a=2&b=", "/v1/orders?a=1&a=2&b="),
            ("/v1", "/files/a%2Fb%20c%25/%C3%A9", "/v1/files/a%2Fb%20c%25/%C3%A9"),
            ("/v1", "/orders?q=a%26b%3Dc%2B%25&s=a+b", "/v1/orders?q=a%26b%3Dc%2B%25&s=a+b"),
            ("/a%20b", "/orders:cancel;x=1", "/a%20b/orders:cancel;x=1"),
            ("", "/next?url=http://e.example/y?z&at=10:00", "/next?url=http://e.example/y?z&at=10:00"),
            // RFC 3986 §3.4 has no brackets in a query.
            ("", "/orders?filter[name]=a", "/orders?filter%5Bname%5D=a"),
        ])
    func target(base: String, path: String, target: String) async throws {
        try await withOrders(serverURL: { $0 + base }) { service in
            service.server.respond { _ in .reply(200, body: "ok") }
            let answer = try await service.api.call("target", .get, path)
            #expect(try await answer.text() == "ok")
            #expect(service.server.requests.map(\.target) == [target])
        }
    }

    @Test("what the runtime encodes is not encoded again")
    func encodedOnce() async throws {
        let recorder = PathRecorder()
        try await withOrders(middlewares: [recorder]) { service in
            service.server.respond { _ in .reply(200) }
            _ = try await service.api.findOrders(customer: "a/b c?é%", tags: ["x&y", "1+1=2", ""], text: "#?/")
            let path = "/customers/a%2Fb%20c%3F%C3%A9%25/orders?tag=x%26y&tag=1%2B1%3D2&tag=&text=%23%3F%2F"
            #expect(recorder.paths.all == [path])
            #expect(service.server.requests.map(\.target) == ["/v1" + path])
        }
    }

    @Test(
        "a relative server URL is below the client's base URL",
        arguments: [("/v1", "/base/v1/orders"), ("/", "/base/orders")])
    func relativeServer(server: String, target: String) async throws {
        try await withOrders(base: "/base", serverURL: { _ in server }) { service in
            service.server.respond { _ in .reply(200) }
            _ = try await service.api.call("relative", .get, "/orders")
            #expect(service.server.requests.map(\.target) == [target])
        }
    }

    @Test(
        "a path that would name something else is refused before anything is sent",
        arguments: [
            "", "orders", "https://other.example/x", "?a=1", "/a b", "/a\u{7F}b", "/a\r\nX-Injected: 1", "/a#b",
            "/a?b c",
            "/a/../b", "/a/%2e%2E", "/.", "/a/.?b=1",
        ])
    func refusedPath(path: String) async throws {
        try await withOrders { service in
            let error = try await serviceError { try await service.api.call("refused", .get, path) }
            #expect(error.code == .invalidRequest)
            #expect(error.progress == .neverSent)
            #expect(error.message.contains("the path of the operation"))
            #expect(service.server.connections.isEmpty)
        }
    }

    @Test("dots that are no segment of their own are sent")
    func dotsInSegments() async throws {
        try await withOrders { service in
            service.server.respond { _ in .reply(200) }
            for path in ["/a..b", "/...", "/.a/b.", "/a?b=/../c"] {
                _ = try await service.api.call("dots", .get, path)
            }
            #expect(service.server.requests.map(\.target) == ["/v1/a..b", "/v1/...", "/v1/.a/b.", "/v1/a?b=/../c"])
        }
    }

    @Test(
        "a server URL that cannot be used is refused, and its query is not told",
        arguments: [
            "https://api.example.com/v1?key=secret", "https://api.example.com/#key=secret", "//api.example.com/v1",
            "ftp://api.example.com", "https://user:secret@api.example.com",
        ])
    func refusedServer(server: String) async throws {
        try await withOrders(serverURL: { _ in server }) { service in
            let error = try await serviceError { try await service.api.call("refused", .get, "/orders") }
            #expect(error.code == .invalidURL)
            #expect(error.progress == .neverSent)
            #expect(!"\(error)".contains("secret"))
            #expect(service.server.connections.isEmpty)
        }
    }

    @Test("a relative server URL needs a client with a base URL")
    func relativeServerWithoutBase() async throws {
        let client = try ServiceClient()
        let url = try #require(URL(string: "/v1"))
        let api = OrdersAPI(serverURL: url, transport: ServiceClientTransport(client))
        let error = try await serviceError { try await api.call("relative", .get, "/orders") }
        #expect(error.code == .invalidURL)
        #expect(error.message == "the server URL is relative, and the client has no base URL")
        await client.shutdown()
    }

    @Test("fields that come several times are sent as often, in their order")
    func repeatedFields() async throws {
        try await withOrders { service in
            service.server.respond { _ in .reply(200) }
            var fields = HTTPFields()
            for value in ["a", "b, c", "a"] { fields.append(HTTPField(name: Self.tag, value: value)) }
            _ = try await service.api.call("repeated", .get, "/", fields: fields)
            #expect(service.server.requests.map { $0.fields[values: Self.tag] } == [["a", "b, c", "a"]])
        }
    }

    @Test("a field that may not be sent is refused before a byte is sent, without its value")
    func refusedFields() async throws {
        try await withOrders { service in
            let fields = [
                HTTPField(name: Self.tag, lenientValue: Array("secret\u{1}".utf8)),
                HTTPField(name: .contentLength, value: "5"),
                HTTPField(name: .transferEncoding, value: "secret"),
            ]
            for field in fields {
                let error = try await serviceError {
                    try await service.api.call("refused", .put, "/", fields: HTTPFields([field]), body: HTTPBody("abc"))
                }
                #expect(error.code == .invalidRequest)
                #expect(error.progress == .neverSent)
                #expect(error.message.lowercased().contains(field.name.canonicalName))
                #expect(!"\(error)".contains("secret"))
            }
            #expect(service.server.connections.isEmpty)
        }
    }
}
