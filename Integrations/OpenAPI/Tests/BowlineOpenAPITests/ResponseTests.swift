import Bowline
import BowlineOpenAPI
import BowlineTesting
import OpenAPIRuntime
import Testing

@Suite("Responses of operations", .timeLimit(.minutes(1)))
struct ResponseTests {
    private static let tag = HTTPField.Name("X-Tag")!

    @Test("status, reason phrase and fields arrive, each line of a repeated field by itself")
    func head() async throws {
        try await withOrders { service in
            service.server.respond { _ in
                var fields: HTTPFields = [.contentType: "text/plain"]
                for value in ["a=1", "b=2; Path=/"] { fields.append(HTTPField(name: .setCookie, value: value)) }
                for value in ["x", "y, z"] { fields.append(HTTPField(name: Self.tag, value: value)) }
                var response = ScriptedResponse(418, fields: fields, body: "tea")
                response.reason = "Short and Stout"
                return .reply(response)
            }
            let answer = try await service.api.call()
            #expect(answer.response.status.code == 418)
            #expect(answer.response.status.reasonPhrase == "Short and Stout")
            #expect(answer.response.headerFields[.contentType] == "text/plain")
            #expect(answer.response.headerFields[values: .setCookie] == ["a=1", "b=2; Path=/"])
            #expect(answer.response.headerFields[values: Self.tag] == ["x", "y, z"])
            #expect(try await answer.text() == "tea")
        }
    }

    @Test(
        "HEAD, 204 and 304 have no body, and leave the connection as it was",
        arguments: [(HTTPRequest.Method.head, 200), (.get, 204), (.get, 304), (.delete, 204)])
    func noBody(method: HTTPRequest.Method, status: Int) async throws {
        try await withOrders { service in
            service.server.route(method, "/v1/none", always: .reply(status, fields: [Self.tag: "x"], body: "hello"))
            service.server.route(.get, "/v1/some", always: .reply(200, body: "some"))
            let answer = try await service.api.call("none", method, "/none")
            #expect(answer.response.status.code == status)
            #expect(answer.response.headerFields[Self.tag] == "x")
            #expect(answer.body == nil)
            #expect(try await service.api.call("some", .get, "/some").text() == "some")
            #expect(service.server.connections.count == 1)
        }
    }

    @Test("an empty body is a body")
    func emptyBody() async throws {
        try await withOrders { service in
            service.server.respond { _ in .reply(200) }
            let answer = try await service.api.call()
            #expect(answer.body?.length == .known(0))
            #expect(try await answer.text()?.isEmpty == true)
        }
    }

    @Test(
        "4 MiB arrive byte by byte as they were sent, with the length where it is known",
        arguments: [ScriptedResponse.Framing.length, .chunked])
    func contents(framing: ScriptedResponse.Framing) async throws {
        try await withOrders { service in
            let bytes = PatternChunks(count: 4 << 20, chunkSize: 1).bytes
            service.server.respond { _ in .reply(200, body: ByteBuffer(bytes: bytes), framing: framing) }
            let answer = try await service.api.call()
            let body = try #require(answer.body)
            #expect(body.length == (framing == .length ? .known(4 << 20) : .unknown))
            #expect(body.iterationBehavior == .single)
            let received = try await [UInt8](collecting: body, upTo: 8 << 20)
            #expect(received == bytes)
        }
    }

    @Test("a body that was decoded has no length of its own, and its content")
    func decoded() async throws {
        // gzip of the text below.
        let bytes: [UInt8] = [
            0x1F, 0x8B, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xCB, 0x48, 0xCD, 0xC9, 0xC9, 0xD7, 0x51, 0xC8,
            0x40,
            0xA2, 0x00, 0x9F, 0xA1, 0xCA, 0x09, 0x13, 0x00, 0x00, 0x00,
        ]
        try await withOrders { service in
            service.server.respond { _ in
                .reply(200, fields: [.contentEncoding: "gzip"], body: ByteBuffer(bytes: bytes))
            }
            let answer = try await service.api.call()
            #expect(answer.body?.length == .unknown)
            #expect(answer.response.headerFields[.contentEncoding] == nil)
            #expect(try await answer.text() == "hello, hello, hello")
        }
    }

    @Test("a body is iterated once")
    func iteratedTwice() async throws {
        try await withOrders { service in
            service.server.respond { _ in .reply(200, body: "once") }
            let answer = try await service.api.call()
            #expect(try await answer.text() == "once")
            await #expect(throws: (any Error).self) { _ = try await answer.text() }
        }
    }

    @Test("a reader that pauses makes the server pause, and gets everything in the end")
    func backPressure() async throws {
        var options = LoopbackServer.Options()
        options.sendBufferSize = 65_536
        let pieces = 1024
        try await withOrders(options) { service in
            let sent = Collected<Int>()
            service.server.onConnection { connection in
                guard try await connection.readRequestHead() != nil else { return }
                try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(pieces * 65_536)\r\n\r\n")
                for piece in 0..<pieces {
                    try await connection.send(ByteBuffer(repeating: UInt8(piece & 0xFF), count: 65_536))
                    sent.append(piece)
                }
            }
            let answer = try await service.api.call()
            var chunks = try #require(answer.body).makeAsyncIterator()
            var count = try await chunks.next()?.count ?? 0
            #expect(try await settled("the server") { sent.all.count } < pieces / 2)
            while let chunk = try await chunks.next() { count += chunk.count }
            #expect(count == pieces * 65_536)
        }
    }

    /// Answers with the beginning of a body that has no end.
    private func serveUnfinished(_ server: LoopbackServer, status: Int = 200) {
        server.onConnection { connection in
            guard try await connection.readRequest() != nil else { return }
            try await connection.send("HTTP/1.1 \(status) OK\r\nContent-Length: 1000000\r\n\r\nbeginning")
            try await connection.stall()
        }
    }

    // `withOrders` checks in each of these that the client's shutdown has nothing to cut off.

    @Test("a body that nobody reads is given up with its response")
    func droppedUnread() async throws {
        try await withOrders { service in
            serveUnfinished(service.server)
            var answer: OrdersAPI.Answer? = try await service.api.call()
            #expect(answer?.body?.length == .known(1_000_000))
            answer = nil
            try await service.server.waitForOpenConnections(count: 0)
        }
    }

    @Test("a body is given up when its iterator is dropped, though the response is still held")
    func droppedIterator() async throws {
        try await withOrders { service in
            serveUnfinished(service.server)
            let answer = try await service.api.call()
            for try await chunk in try #require(answer.body) {
                #expect("beginning".utf8.starts(with: chunk))
                break
            }
            try await service.server.waitForOpenConnections(count: 0)
            withExtendedLifetime(answer) {}
        }
    }

    @Test("a body of a response that the document does not have is given up with the error")
    func droppedWithError() async throws {
        try await withOrders { service in
            serveUnfinished(service.server, status: 500)
            var error: ClientError? = try await clientError {
                try await service.api.placeOrder(OrdersAPI.Order(id: "1", quantity: 1))
            }
            #expect(error?.underlyingError as? OrdersAPI.Undocumented == OrdersAPI.Undocumented(status: 500))
            #expect(error?.response?.status.code == 500)
            #expect(error?.serviceError == nil)
            error = nil
            try await service.server.waitForOpenConnections(count: 0)
        }
    }

    /// Waits until what `value` says has not changed for a while: for what nothing announces, as a socket that is full.
    private func settled(_ awaited: String, _ value: () -> Int) async throws -> Int {
        var last = value()
        var unchanged = 0
        try await eventually("\(awaited) to settle") {
            let now = value()
            unchanged = now == last ? unchanged + 1 : 0
            last = now
            return unchanged >= 60
        }
        return last
    }
}
