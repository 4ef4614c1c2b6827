import Bowline
import BowlineOpenAPI
import BowlineTesting
import OpenAPIRuntime
import Testing

@Suite("Operations over HTTP/2", .timeLimit(.minutes(1)))
struct HTTP2Tests {
    private func withOrdersOverHTTP2(_ body: (OrdersService) async throws -> Void) async throws {
        var options = LoopbackServer.Options.http2
        options.recordedBodyLimit = 8 << 20
        try await withOrders(options, configure: { $0.http2.negotiation = .http2Only }) { service in
            try await body(service)
            #expect(service.server.problems.isEmpty)
        }
    }

    @Test("fields, repeated ones among them, and contents arrive both ways")
    func bothWays() async throws {
        try await withOrdersOverHTTP2 { service in
            let tag = try #require(HTTPField.Name("X-Tag"))
            var fields = HTTPFields()
            for value in ["a", "b"] { fields.append(HTTPField(name: tag, value: value)) }
            let echoed = fields
            service.server.respond { .reply(200, fields: echoed, body: $0.body) }
            let chunks = PatternChunks(count: 2_000_000, chunkSize: 300_000)
            let body = HTTPBody(chunks, length: .known(2_000_000), iterationBehavior: .single)
            let answer = try await service.api.call("echo", .put, "/echo?", fields: fields, body: body)
            #expect(answer.response.status.code == 200)
            #expect(answer.response.headerFields[values: tag] == ["a", "b"])
            let received = try await [UInt8](collecting: #require(answer.body), upTo: 4 << 20)
            #expect(received == chunks.bytes)
            let request = try #require(service.server.requests.first)
            #expect(request.target == "/v1/echo?")
            #expect(request.fields[values: tag] == ["a", "b"])
            #expect(request.stream != nil)
        }
    }

    @Test("HEAD and 204 have no body")
    func noBody() async throws {
        try await withOrdersOverHTTP2 { service in
            service.server.respond { .reply($0.method == .head ? 200 : 204) }
            for (method, status) in [(HTTPRequest.Method.head, 200), (.delete, 204)] {
                let answer = try await service.api.call("none", method, "/")
                #expect(answer.response.status.code == status)
                #expect(answer.body == nil)
            }
            #expect(service.server.connections.count == 1)
        }
    }

    @Test("a body that is not read resets its stream and leaves the connection to others")
    func droppedUnread() async throws {
        try await withOrdersOverHTTP2 { service in
            let bytes = PatternChunks(count: 4 << 20, chunkSize: 1).bytes
            service.server.route(.get, "/v1/large", always: .reply(200, body: ByteBuffer(bytes: bytes)))
            service.server.route(.get, "/v1/small", always: .reply(200, body: "small"))
            var answer: OrdersAPI.Answer? = try await service.api.call("large", .get, "/large")
            #expect(answer?.body?.length == .known(4 << 20))
            answer = nil
            try await eventually("the reset") { service.server.requests.first?.wasReset == true }
            let small = try await service.api.call("small", .get, "/small")
            #expect(try await small.text() == "small")
            #expect(service.server.connections.count == 1)
        }
    }

    @Test("a field that HTTP/2 does not allow is refused before it is sent")
    func refusedField() async throws {
        try await withOrdersOverHTTP2 { service in
            let tag = try #require(HTTPField.Name("X-Tag"))
            let field = HTTPField(name: tag, lenientValue: Array("secret\u{1}".utf8))
            let error = try await serviceError {
                try await service.api.call("refused", .get, "/", fields: HTTPFields([field]))
            }
            #expect(error.code == .invalidRequest)
            #expect(!"\(error)".contains("secret"))
            #expect(service.server.requests.isEmpty)
        }
    }
}
