import Bowline
import BowlineTesting
import HTTPTypes
import NIOCore
import Testing

@Suite("Informational responses and Expect", .timeLimit(.minutes(1)))
struct InformationalResponseTests {
    private static let link = HTTPField.Name("Link")!

    @Test(
        "Informational responses come in order, to the callback as they arrive and in the response's list", .tags(.H1b))
    func informationalInOrder() async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.onConnection { connection in
                guard try await connection.readRequest() != nil else { return }
                try await connection.send(
                    "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
                try await gate.wait()
                try await connection.send("HTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
                try await connection.reply(200, body: "done")
                try await connection.serveRequests()
            }
            server.respond { _ in .reply(200, body: "next") }
            try await withServiceClient(server.baseURL) { client in
                let seen = Guarded<[Int]>([])
                var request = ServiceRequest.get("/")
                request.options.onInformational = { response in
                    let count = seen.withLock { seen in
                        seen.append(response.status.code)
                        return seen.count
                    }
                    // The rest is sent only after the callback has seen the first two.
                    if count == 2 { gate.open() }
                }
                let fetched = try await client.fetch(request)
                #expect(fetched.text == "done")
                #expect(seen.withLock { $0 } == [102, 103, 103, 100])
                #expect(fetched.response.informational.map(\.status.code) == [102, 103, 103, 100])
                #expect(fetched.response.informational[1].fields.httpFields[Self.link] == "</a>")
                #expect(fetched.response.informational[2].fields.httpFields[Self.link] == "</b>")
                let next = try await client.fetch("/next")
                #expect(next.isReused)
                #expect(next.response.informational.isEmpty)
            }
        }
    }

    @Test("The maximum of informational responses passes, one more fails", .tags(.H1b), arguments: [0, 1, 3])
    func informationalLimit(limit: Int) async throws {
        try await withLoopbackServer { server in
            server.respond { request in
                let count = request.path == "/fits" ? limit : limit + 1
                let early = String(repeating: "HTTP/1.1 103 Early Hints\r\n\r\n", count: count)
                return .sequence(.bytes(early), .reply(200, body: "x"))
            }
            try await withServiceClient(server.baseURL) {
                $0.connection.maximumInformational = limit
            } _: { client in
                #expect(try await client.fetch("/fits").response.informational.count == limit)
                let error = try await serviceError { _ = try await client.fetch("/over") }
                #expect(error.code == .responseLimitExceeded)
                #expect(error.progress == .responseStarted)
                try await server.waitForOpenConnections(count: 0)
            }
        }
    }

    @Test("After an informational response, the response to HEAD still has no body", .tags(.H1b))
    func informationalBeforeHead() async throws {
        try await withLoopbackServer { server in
            server.respond { request in
                request.method == .head
                    ? .bytes("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                    : .reply(200, body: "next")
            }
            try await withServiceClient(server.baseURL) { client in
                let head = try await client.fetch(.head("/"))
                #expect(head.text.isEmpty)
                #expect(head.response.fields[.contentLength] == "1000")
                let next = try await client.fetch("/")
                #expect(next.text == "next")
                #expect(next.isReused)
            }
        }
    }

    @Test("An unsolicited 101 is a protocol violation and ends the connection", .tags(.H1b))
    func unsolicitedUpgrade() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in
                .bytes("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
            }
            try await withServiceClient(server.baseURL) { client in
                let error = try await serviceError { _ = try await client.fetch("/") }
                #expect(error.code == .protocolViolation)
                try await server.waitForOpenConnections(count: 0)
            }
        }
    }

    @Test("A response may have 512 fields, over both protocols; one more fails", .tags(.I2), arguments: [false, true])
    func manyFields(overHTTP2: Bool) async throws {
        try await withLoopbackServer(overHTTP2 ? .http2 : .init()) { server in
            server.respond { request in
                var fields = HTTPFields()
                // With Content-Length, which the server adds.
                for number in 1..<(request.path == "/over" ? 513 : 512) {
                    fields.append(HTTPField(name: Self.link, value: "<\(number)>"))
                }
                return .reply(200, fields: fields, body: "x")
            }
            let sent = SentFields()
            try await withServiceClient(server.baseURL) {
                if overHTTP2 { $0.http2.negotiation = .http2Only }
                $0.middleware.perAttempt = [sent]
            } _: { client in
                let response = try await client.get("/fits")
                #expect(response.receivedFields.count == 512)
                #expect(response.receivedFields.values(for: Self.link) == (1..<512).map { "<\($0)>" })
                let error = try await serviceError { _ = try await client.get("/over") }
                #expect(error.code == .responseLimitExceeded)
            }
            #expect(server.requests.map(\.path) == ["/fits", "/over"])
            await sent.compare(with: server.requests)
        }
    }

    @Test(
        "A response head of the maximum of bytes, or fields, passes, one more fails", .tags(.I2),
        arguments: [false, true])
    func headLimits(counted: Bool) async throws {
        try await withLoopbackServer { server in
            server.respond { request in
                let extra = request.path == "/over" ? 1 : 0
                if counted {
                    let fields = (0..<(7 + extra)).map { "X-\($0): v\r\n" }.joined()
                    return .bytes("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\(fields)\r\n")
                }
                let start = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: "
                let filler = String(repeating: "a", count: 1024 - start.utf8.count - 4 + extra)
                return .bytes("\(start)\(filler)\r\n\r\n")
            }
            try await withServiceClient(server.baseURL) {
                if counted { $0.connection.maximumFields = 8 } else { $0.connection.maximumHeadBytes = 1024 }
            } _: { client in
                #expect(try await client.fetch("/fits").response.status == .ok)
                let error = try await serviceError { _ = try await client.fetch("/over") }
                #expect(error.code == .responseLimitExceeded)
                try await server.waitForOpenConnections(count: 0)
            }
        }
    }

    // MARK: Expect: 100-continue

    private static func expecting(_ body: RequestBody, within limit: Duration = .seconds(60)) -> ServiceRequest {
        var request = ServiceRequest.post("/upload", body: body)
        request.options.continueTimeout = limit
        return request
    }

    @Test("With Expect the body waits for 100 Continue", .tags(.H1c), arguments: [true, false])
    func bodyWaitsForContinue(asBytes: Bool) async throws {
        try await withLoopbackServer { server in
            let bytesBefore = Guarded(-1)
            server.onConnection { connection in
                guard let head = try await connection.readRequestHead() else { return }
                #expect(head.expectsContinue)
                let before = connection.record.bytesReceived
                bytesBefore.withLock { $0 = before - head.head.utf8.count }
                try await connection.sendContinue()
                let request = try await connection.readBody(of: head)
                try await connection.reply(200, body: request.bodyText)
                try await connection.serveRequests()
            }
            server.respond { _ in .reply(200) }
            try await withServiceClient(server.baseURL) { client in
                let body: RequestBody = asBytes ? .text("payload") : .stream(CountedChunks(of: 7, limit: 1))
                let fetched = try await client.fetch(Self.expecting(body))
                #expect(fetched.text == (asBytes ? "payload" : "aaaaaaa"))
                #expect(bytesBefore.withLock { $0 } == 0)
                #expect(fetched.response.informational.map(\.status.code) == [100])
                #expect(try await client.fetch("/next").isReused)
            }
        }
    }

    @Test("Without an answer to Expect the body is sent when the wait is over", .tags(.H1c))
    func bodyIsSentAnyway() async throws {
        let clock = TestClock()
        try await withLoopbackServer { server in
            server.onConnection { connection in
                guard let request = try await connection.readRequest() else { return }
                try await connection.reply(200, body: request.bodyText)
                try await connection.stall()
            }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.useOnly(clock) }
            let result = try await clock.run {
                try await client.fetch(Self.expecting(.text("payload"), within: .seconds(3)))
            } once: {
                try await server.waitForRequestHeads(count: 1)
                #expect(server.requests[0].bodyLength == 0)
            }
            let fetched = try result.get()
            #expect(fetched.text == "payload")
            #expect(fetched.response.timings.sent == MonotonicInstant(nanoseconds: 3_000_000_000))
            await client.shutdown()
        }
    }

    @Test(
        "After a final status in place of 100 the body is not sent and the connection is not reused", .tags(.H1c, .I14),
        arguments: [
            403, 413, 200, 307,
        ])
    func finalStatusInsteadOfContinue(status: Int) async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                guard let head = try await connection.readRequestHead() else { return }
                try await connection.reply(status, body: "no")
                if head.expectsContinue { try await connection.waitForClose() }
            }
            try await withServiceClient(server.baseURL) { client in
                for round in 1...2 {
                    let chunks = CountedChunks(of: 10, limit: 1)
                    let fetched = try await client.fetch(Self.expecting(.stream(chunks)))
                    #expect(fetched.response.status.code == status)
                    #expect(fetched.text == "no")
                    #expect(!fetched.isReused)
                    #expect(chunks.bytesTaken == 0)
                    try await server.waitForOpenConnections(count: 0)
                    #expect(server.connections.count == round)
                }
                #expect(server.requests.allSatisfy { $0.bodyLength == 0 && !$0.isComplete })
                for record in server.connections {
                    #expect(record.bytesReceived == server.requests[record.number - 1].head.utf8.count)
                }
                // Two requests after an early response each get their own response (CVE-2024-24791).
                #expect(try await client.fetch("/a").text == "no")
            }
        }
    }

    @Test(
        "A connection that closes during the wait fails the request, and no byte of its body is sent", .tags(.H1c, .I14)
    )
    func closeDuringTheWait() async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                _ = try await connection.readRequestHead()
            }
            try await withServiceClient(server.baseURL) { client in
                let error = try await serviceError { _ = try await client.fetch(Self.expecting(.text("payload"))) }
                #expect(error.code == .connectionClosed)
                #expect(error.progress == .ambiguous)
                #expect(server.requests.map(\.bodyLength) == [0])
            }
        }
    }

    @Test("Without a body no Expect is sent", .tags(.H1c))
    func nothingExpectedWithoutBody() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            try await withServiceClient(server.baseURL) { client in
                for body in [RequestBody.none, .text("")] {
                    let fetched = try await client.fetch(Self.expecting(body))
                    #expect(fetched.response.status == .ok)
                }
                #expect(server.requests.allSatisfy { !$0.expectsContinue })
            }
        }
    }
}
