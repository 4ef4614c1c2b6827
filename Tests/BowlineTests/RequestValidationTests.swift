import Bowline
import BowlineTesting
import HTTPTypes
import NIOCore
import Testing

@Suite("What may be sent", .timeLimit(.minutes(1)))
struct RequestValidationTests {
    /// Sends a request that has to be refused, and proves that the server was not even dialled.
    private func expectRefusal(
        _ code: ServiceError.Code = .invalidRequest, naming text: String? = nil,
        sourceLocation: SourceLocation = #_sourceLocation, _ change: (inout ServiceRequest) throws -> Void
    ) async throws {
        try await withLoopbackServer { server in
            try await withServiceClient(server.baseURL) { client in
                var request = ServiceRequest.post("/", body: .text("x"))
                let error = try await serviceError(
                    {
                        try change(&request)
                        _ = try await client.fetch(request)
                    }, sourceLocation: sourceLocation
                )
                #expect(error.code == code, sourceLocation: sourceLocation)
                #expect(error.progress == .neverSent, sourceLocation: sourceLocation)
                if let text { #expect(error.message.contains(text), sourceLocation: sourceLocation) }
                #expect(!error.message.utf8.contains { $0 < 0x20 || $0 == 0x7F }, sourceLocation: sourceLocation)
                #expect(client.pool.snapshot().opened == 0, sourceLocation: sourceLocation)
            }
            #expect(server.connections.isEmpty, sourceLocation: sourceLocation)
        }
    }

    static let controls: [String] = ["\r", "\n", "\r\n", "\0", "\u{1}", "\u{7F}", "\r\nX-Injected: 1", "\n\nGET / "]

    @Test(
        "Control characters in a field's value are refused before a connection is made", .tags(.H1d),
        arguments: controls)
    func controlsInValue(control: String) async throws {
        try await expectRefusal(naming: "X-Test") { try $0.setField("X-Test", "a\(control)b") }
    }

    @Test(
        "Control characters in a body's content type are refused before a connection is made", .tags(.H1d),
        arguments: controls)
    func controlsInContentType(control: String) async throws {
        try await expectRefusal(naming: "Content-Type") { $0.body.contentType = "text/a\(control)b" }
    }

    @Test(
        "Names that are no token are refused before a connection is made", .tags(.H1d),
        arguments: controls + ["", " ", ":", "ä"])
    func badNames(part: String) async throws {
        let name = part.isEmpty ? "" : "X\(part)Y"
        try await expectRefusal { try $0.setField(name, "v") }
        try await expectRefusal { try $0.appendField(name, "v") }
    }

    @Test("Control characters in a target never reach the wire unescaped", .tags(.H1d), arguments: controls)
    func controlsInTarget(control: String) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            try await withServiceClient(server.baseURL) { client in
                for reference in ["/a\(control)b", "/a?q=\(control)b", "\(server.baseURL)/\(control)"] {
                    do {
                        _ = try await client.fetch(reference)
                    } catch let error as ServiceError {
                        #expect(error.code == .invalidURL)
                        #expect(error.progress == .neverSent)
                    }
                }
            }
            #expect(server.problems.isEmpty)
            #expect(server.requests.allSatisfy { !$0.target.utf8.contains { $0 <= 0x20 || $0 >= 0x7F } })
            #expect(server.requests.allSatisfy { $0.fields[.init("X-Injected")!] == nil })
        }
    }

    @Test(
        "A Host field that is no host is refused before a connection is made", .tags(.H1d),
        arguments: [
            "", "a b", "a/b", "a@b", "user:pass@host", "host:port", "host:", "[::1", "::1", "a\tb", "a?b", "a#b",
        ])
    func badHost(host: String) async throws {
        try await expectRefusal { try $0.setField("Host", host) }
    }

    @Test(
        "Control characters in a Host field are refused before a connection is made", .tags(.H1d), arguments: controls)
    func controlsInHost(control: String) async throws {
        try await expectRefusal { try $0.setField("Host", "a\(control)b") }
    }

    @Test("Two Host fields are refused", .tags(.H1d))
    func twoHosts() async throws {
        try await expectRefusal {
            try $0.setField("Host", "a")
            try $0.appendField("host", "b")
        }
    }

    @Test("Control characters in an absolute URL's host are refused", .tags(.H1d), arguments: controls)
    func controlsInAuthority(control: String) async throws {
        try await expectRefusal(.invalidURL) { $0.reference = "http://a\(control)b/" }
    }

    @Test(
        "Trailers that may not be sent fail the request and the server never sees a complete one", .tags(.H1d),
        arguments: [
            "Content-Length", "Transfer-Encoding", "Host", "Authorization", "Trailer",
        ])
    func forbiddenTrailers(name: String) async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                // nil: the connection closed before a byte of the request had come.
                if try await connection.readRequest() != nil { Issue.record("the request was completed") }
            }
            try await withServiceClient(server.baseURL) { client in
                let fieldName = try #require(HTTPField.Name(name))
                let body = RequestBody.text("x").trailers { [fieldName: "1"] }
                let error = try await serviceError { _ = try await client.fetch(.post("/", body: body)) }
                #expect(error.code == .invalidRequest)
                #expect(error.message.contains("trailer"))
                try await server.waitForOpenConnections(count: 0)
            }
            #expect(server.requests.allSatisfy { !$0.isComplete })
        }
    }

    // MARK: Fields that are the client's to write

    @Test(
        "Framing fields that contradict the body are refused", .tags(.H1f),
        arguments: [
            ["Content-Length": "2"], ["content-length": "+1"], ["CONTENT-LENGTH": "1, 1"], ["Content-Length": ""],
            ["Transfer-Encoding": "chunked"], ["transfer-encoding": "gzip, chunked"], ["TRANSFER-ENCODING": "identity"],
            ["Content-Length": "1", "Transfer-Encoding": "chunked"], ["Connection": "x-mine"], ["TE": "gzip"],
            ["Expect": "200-ok"],
        ])
    func contradictingFraming(fields: [String: String]) async throws {
        try await expectRefusal { request in
            for (name, value) in fields { try request.setField(name, value) }
        }
    }

    @Test("Framing fields that agree with the body are sent once", .tags(.H1f), arguments: [true, false])
    func agreeingFraming(isChunked: Bool) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            try await withServiceClient(server.baseURL) { client in
                var request = ServiceRequest.post(
                    "/", body: isChunked ? .stream(CountedChunks(of: 1, limit: 1)) : .text("x")
                )
                if isChunked {
                    try request.appendField("transfer-encoding", "Chunked")
                    try request.appendField("Transfer-Encoding", "chunked")
                } else {
                    try request.appendField("content-length", "1")
                    try request.appendField("CONTENT-LENGTH", "1")
                }
                _ = try await client.fetch(request)
                let sent = try #require(server.requests.first)
                #expect(sent.fields[values: .contentLength] == (isChunked ? [] : ["1"]))
                #expect(sent.fields[values: .transferEncoding] == (isChunked ? ["chunked"] : []))
                #expect(sent.bodyLength == 1)
            }
            #expect(server.problems.isEmpty)
        }
    }

    @Test("Connection: close from the caller is sent once and closes the connection", .tags(.H1f))
    func callersClose() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            try await withServiceClient(server.baseURL) { client in
                var request = ServiceRequest.get("/")
                try request.appendField("Connection", "Close")
                try request.appendField("connection", "close, keep-alive")
                try request.appendField("Keep-Alive", "timeout=5")
                try request.appendField("Proxy-Connection", "keep-alive")
                _ = try await client.fetch(request)
                let sent = try #require(server.requests.first)
                #expect(sent.fields[values: .connection] == ["close"])
                #expect(!sent.head.lowercased().contains("keep-alive"))
                try await server.waitForOpenConnections(count: 0)
            }
        }
    }

    @Test("The caller's Host field replaces the URL's, once and first", .tags(.H1f))
    func callersHost() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            try await withServiceClient(server.baseURL) { client in
                var request = ServiceRequest.get("/")
                try request.setField("X-A", "1")
                try request.setField("host", "virtual.example:8080")
                _ = try await client.fetch(request)
                _ = try await client.fetch("/")
            }
            let lines = server.requests.map { $0.head.split(separator: "\r\n").map(String.init) }
            #expect(lines[0][1] == "Host: virtual.example:8080")
            #expect(lines[0].count { $0.lowercased().hasPrefix("host:") } == 1)
            #expect(lines[1][1] == "Host: 127.0.0.1:\(server.port)")
        }
    }

    @Test(
        "Every method's body is framed explicitly", .tags(.H1g),
        arguments: [
            "GET", "HEAD", "DELETE", "OPTIONS", "POST", "PUT", "PATCH", "QUERY", "MKCOL",
        ])
    func framingPerMethod(name: String) async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            try await withServiceClient(server.baseURL) { client in
                let method = try #require(HTTPRequest.Method(rawValue: name))
                let bodies: [RequestBody] = [
                    .none, .text(""), .text("abc"), .stream(CountedChunks(of: 3, limit: 2)),
                    .stream(CountedChunks(of: 3, limit: 2), length: 6), .stream(CountedChunks(of: 3, limit: 0)),
                ]
                for body in bodies { _ = try await client.fetch(ServiceRequest(method: method, "/", body: body)) }
            }
            #expect(server.problems.isEmpty)
            let lengths = server.requests.map { $0.fields[.contentLength] }
            let isContentUsual = ["POST", "PUT", "PATCH"].contains(name)
            #expect(lengths == [isContentUsual ? "0" : nil, "0", "3", nil, "6", nil])
            #expect(
                server.requests.map { $0.fields[.transferEncoding] } == [nil, nil, nil, "chunked", nil, "chunked"]
            )
            #expect(server.requests.map(\.bodyLength) == [0, 0, 3, 6, 6, 0])
            #expect(server.connections.count == 1)
        }
    }
}
