import BowlineTesting
import HTTPTypes
import NIOCore
import Testing

@Suite("Loopback server: serving requests", .timeLimit(.minutes(1)))
struct LoopbackServingTests {
    static let get = "GET /x?q=1 HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nx-two: 2\r\n\r\n"

    /// Sends three requests on one connection, waits until it is closed, and shows the server to `check`.
    private func withThreeRequests(_ check: (LoopbackServer) throws -> Void) async throws {
        try await withLoopbackServer { server in
            server.respond { .reply(200, body: "\($0.number)") }
            try await withRawClient(to: server) { client in
                for number in 1...3 {
                    try await client.send(Self.get)
                    let response = try await client.read(through: "\r\n\r\n\(number)")
                    #expect(response == "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\(number)")
                }
            }
            try await server.waitForOpenConnections(count: 0)
            try check(server)
        }
    }

    @Test("The server answers requests on one connection, and records each request")
    func keepAlive() async throws {
        try await withThreeRequests { server in
            let request = try #require(server.requests.last)
            #expect(request.method == .get)
            #expect(request.target == "/x?q=1")
            #expect(request.path == "/x")
            #expect(request.fields.map(\.name.rawName) == ["Host", "X-One", "x-two"])
            #expect(request.head == Self.get)
            #expect(request.isComplete)
            #expect((request.connection, request.number) == (1, 3))
            #expect(server.problems == [])
        }
    }

    @Test("The server records each connection: its requests, its bytes and how it ended")
    func recordedConnection() async throws {
        try await withThreeRequests { server in
            let connection = try #require(server.connections.first)
            #expect(server.connections.count == 1)
            #expect(connection.requests == 3)
            #expect(connection.end == .clientFinished)
            #expect(connection.bytesReceived == 3 * Self.get.utf8.count)
            #expect(connection.bytesSent == 3 * 39)
            #expect(connection.peerPort != nil)
        }
    }

    @Test("without records, requests and ended connections are only counted")
    func withoutRecords() async throws {
        var options = LoopbackServer.Options()
        options.keepsRecords = false
        try await withLoopbackServer(options) { server in
            server.respond { .reply(200, body: "\($0.number)") }
            try await withRawClient(to: server) { client in
                for number in 1...2 {
                    try await client.send(Self.get)
                    let response = try await client.read(through: "\r\n\r\n\(number)")
                    #expect(response == "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\(number)")
                }
                #expect(server.connections.map(\.number) == [1])
                #expect(server.connection(1)?.isOpen == true)
            }
            try await withRawClient(to: server) { client in
                try await client.send("no request\r\n\r\n")
                let response = try await client.read(through: "\r\n\r\n")
                #expect(response.hasPrefix("HTTP/1.1 400 "))
            }
            try await server.waitForConnections(count: 2)
            try await server.waitForRequests(count: 2)
            try await server.waitForOpenConnections(count: 0)
            #expect(server.connections == [])
            #expect(server.connection(2) == nil)
            #expect(server.requests.isEmpty)
            #expect(server.problems == [])
        }
    }

    @Test("serves 10,000 requests on one connection in a reasonable time")
    func manyRequests() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "ok") }
            try await withRawClient(to: server) { client in
                for _ in 1...10_000 {
                    try await client.send(Self.get)
                    _ = try await client.read(count: 40)
                }
            }
            try await server.waitForRequests(count: 10_000)
        }
    }

    @Test("reads a chunked body with extensions and trailers, however it is split")
    func chunkedRequest() async throws {
        try await withLoopbackServer { server in
            server.respond { .reply(200, body: $0.bodyText) }
            try await withRawClient(to: server) { client in
                let request =
                    "POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + "5;a=b\r\nhello\r\nA\r\n, world!!!\r\n0\r\nX-Sum: 15\r\n\r\n"
                for byte in request { try await client.send(String(byte)) }
                #expect(try await client.read(through: "!!!").hasSuffix("\r\n\r\nhello, world!!!"))
            }
            let request = try #require(server.requests.first)
            #expect(request.trailers?[HTTPField.Name("X-Sum")!] == "15")
            #expect(request.bodyLength == 15)
        }
    }

    @Test("The server keeps the first bytes of a long body and counts all of them")
    func longBody() async throws {
        var options = LoopbackServer.Options()
        options.recordedBodyLimit = 10
        try await withLoopbackServer(options) { server in
            server.respond { .reply(200, body: "\($0.bodyLength)") }
            try await withRawClient(to: server) { client in
                try await client.send("PUT / HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n")
                try await client.outbound.write(ByteBuffer(repeating: 0x78, count: 3_000_000))
                #expect(try await client.read(through: "3000000").hasSuffix("\r\n\r\n3000000"))
            }
            #expect(server.requests.first?.bodyText == "xxxxxxxxxx")
        }
    }

    @Test("answers Expect: 100-continue before it reads the body")
    func expectContinue() async throws {
        try await withLoopbackServer { server in
            server.respond { .reply(201, body: $0.bodyText) }
            try await withRawClient(to: server) { client in
                try await client.send("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
                #expect(try await client.read(through: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
                #expect(server.requests.map(\.isComplete) == [false])
                try await client.send("hi")
                #expect(try await client.read(through: "\r\n\r\nhi").hasPrefix("HTTP/1.1 201 Created\r\n"))
            }
        }
    }

    @Test("answers a request before its body, then reads the body, or ends the connection")
    func early() async throws {
        try await withLoopbackServer { server in
            server.respondEarly { request in
                switch request.path {
                case "/kept": .reply(413)
                case "/closed": .reply(413, fields: [.connection: "close"])
                default: nil
                }
            }
            server.respond { .reply(200, body: $0.bodyText) }
            try await withRawClient(to: server) { client in
                try await client.send("POST /kept HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
                #expect(try await client.read(through: "\r\n\r\n").hasPrefix("HTTP/1.1 413 "))
                #expect(server.requests.map(\.isComplete) == [false])
                try await client.send("hiPOST /whole HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")
                #expect(try await client.read(through: "hello").hasPrefix("HTTP/1.1 200 OK\r\n"))
                #expect(server.requests.map(\.bodyText) == ["hi", "hello"])
                try await client.send("POST /closed HTTP/1.1\r\nContent-Length: 2\r\n\r\n")
                let rest = await client.readToEnd()
                #expect(rest.text.hasPrefix("HTTP/1.1 413 "))
                #expect(rest.end == .finished)
            }
            #expect(server.requests.map(\.isComplete) == [true, true, false])
            #expect(server.problems == [])
        }
    }

    @Test("answers 404 without a route, prefers a route to respond, and repeats the last of several replies")
    func routes() async throws {
        try await withLoopbackServer { server in
            func statuses(_ target: String) async throws -> String {
                try await withRawClient(to: server) { client in
                    try await client.send("GET \(target) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    return String(await client.readToEnd().text.prefix(12).suffix(3))
                }
            }
            let unrouted = try await statuses("/a")
            #expect(unrouted == "404")
            server.respond { _ in .reply(204) }
            server.route(.get, "/a") { _ in .reply(200) }
            server.route(.get, "/b", inOrder: [.reply(503), .reply(200)])
            server.route(.post, "/c") { _ in .reply(200) }
            server.route(.get, "/d/{id}", always: .reply(500))
            server.route(.get, "/d/{id}/e", always: .reply(203))
            server.route(.get, "/d/{id}", always: .reply(201))
            server.route(.get, "/d/7", always: .reply(202))
            let expected = [
                ("/a?x=y", "200"), ("/b", "503"), ("/b", "200"), ("/b", "200"), ("/c", "204"), ("/d/6", "201"),
                ("/d/7", "202"), ("/d/7/e", "203"), ("/d/", "204"), ("/d/6/f", "204"),
            ]
            for (target, status) in expected {
                let received = try await statuses(target)
                #expect(received == status, "\(target)")
            }
        }
    }

    static let wire: [(ScriptedResponse, HTTPRequest.Method, String)] = [
        (.init(200, fields: [.server: "b"], body: "abc"), .get, "200 OK\r\nServer: b\r\nContent-Length: 3\r\n\r\nabc"),
        (.init(200, body: "abc"), .head, "200 OK\r\nContent-Length: 3\r\n\r\n"),
        (.init(204), .get, "204 No Content\r\n\r\n"),
        (.init(304, body: "abc"), .get, "304 Not Modified\r\n\r\n"),
        (.init(103, fields: [.server: "b"]), .get, "103 Early Hints\r\nServer: b\r\n\r\n"),
        (.init(200, body: "abc", framing: .untilClose), .get, "200 OK\r\n\r\nabc"),
        (
            .init(200, fields: [.contentLength: "9"], body: "abc", framing: .manual), .get,
            "200 OK\r\nContent-Length: 9\r\n\r\nabc"
        ),
        (
            .init(200, body: "abc", framing: .chunks(of: 2), trailers: [.eTag: "t"]), .get,
            "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nETag: t\r\n\r\n"
        ),
        (.init(299, body: "", framing: .chunked), .head, "299 \r\nTransfer-Encoding: chunked\r\n\r\n"),
    ]

    @Test("writes a response as its framing and the method demand", arguments: wire.indices)
    func responseOnTheWire(index: Int) {
        let (response, method, expected) = Self.wire[index]
        #expect(String(buffer: response.bytes(answering: method)) == "HTTP/1.1 " + expected)
    }

    static let malformed = [
        "GET /\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n", "GET / HTTP/1.2\r\n\r\n", "G@T / HTTP/1.1\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nNo colon\r\n\r\n", "GET / HTTP/1.1\r\nA : b\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\nB: c\r\n\r\n", "GET / HTTP/1.1\r\nA: b\rB: c\r\n\r\n", "\r\n\r\n",
        "GET / HTTP/1.1\r\nA: \u{1}\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    ]

    @Test("refuses a malformed request with 400, closes, and notes it", arguments: malformed)
    func malformedRequest(text: String) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            try await withRawClient(to: server) { client in
                try await client.send(text)
                #expect(await client.readToEnd().text.hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
            }
            #expect(server.problems.count == 1)
            #expect(server.requests.allSatisfy { !$0.isComplete })
        }
    }

    @Test("A request that the client abandons is recorded as incomplete, and no responder sees it")
    func incompleteRequest() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            try await withRawClient(to: server) { client in
                try await client.send("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc")
                try await server.waitForRequestHeads(count: 1)
                client.finish()
                #expect(await client.readToEnd() == ("", .finished))
            }
            try await server.waitForOpenConnections(count: 0)
            let request = try #require(server.requests.first)
            #expect((request.isComplete, request.bodyText, request.bodyLength) == (false, "abc", 3))
            #expect(server.connections.first?.requests == 0)
            #expect(server.problems == [])
        }
    }

    @Test("The server notes a responder's error and closes the connection")
    func throwingResponder() async throws {
        struct Oops: Error {}
        try await withLoopbackServer { server in
            server.respond { _ in throw Oops() }
            try await withRawClient(to: server) { client in
                try await client.send(Self.get)
                #expect(await client.readToEnd() == ("", .finished))
            }
            #expect(server.problems == ["connection 1: Oops()"])
        }
    }
}
