import Bowline
import BowlineTesting
import CorpusSupport
import NIOCore
import Testing

@Suite("Decompression over a socket", .timeLimit(.minutes(1)))
struct DecompressionTests {
    private static let text = String(repeating: "all work and no play makes the client a dull one\n", count: 5000)

    private static func coded(_ envelope: CodedBytes.Envelope) -> ByteBuffer {
        ByteBuffer(bytes: CodedBytes.encode(Array(text.utf8), as: envelope))
    }

    @Test(
        "A decoded body leaves its connection reusable, in each framing", .tags(.DC1),
        arguments: CodedBytes.Envelope.allCases,
        [ScriptedResponse.Framing.length, .chunks(of: 1), .chunked, .untilClose])
    func reuse(envelope: CodedBytes.Envelope, framing: ScriptedResponse.Framing) async throws {
        try await withLoopbackServer { server in
            server.respond { request in
                .reply(
                    200, fields: [.contentEncoding: envelope.contentCoding], body: Self.coded(envelope),
                    framing: framing)
            }
            let client = try ServiceClient(baseURL: server.baseURL)
            for number in 0..<3 {
                let fetched = try await client.fetch("/\(number)")
                #expect(fetched.text == Self.text)
                #expect(fetched.isReused == (number > 0 && framing != .untilClose))
            }
            await client.shutdown(within: .zero)
        }
    }

    @Test("Accept-Encoding is sent once, and not with a range or with the caller's own value", .tags(.DC10))
    func offer() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply() }
            let client = try ServiceClient(baseURL: server.baseURL)
            _ = try await client.fetch("/plain")
            _ = try await client.fetch(ServiceRequest(method: .get, "/range", fields: [.range: "bytes=0-1"]))
            _ = try await client.fetch(ServiceRequest(method: .get, "/own", fields: [.acceptEncoding: "br"]))
            var raw = ServiceRequest.get("/off")
            raw.options.decompression = .off
            _ = try await client.fetch(raw)
            #expect(server.requests.map { $0.fields[values: .acceptEncoding] } == [["gzip, deflate"], [], ["br"], []])
            await client.shutdown(within: .zero)
        }
    }

    @Test("HEAD of a gzipped resource, and a 304 for one, keep their fields and their connection", .tags(.DC4))
    func noContent() async throws {
        try await withLoopbackServer { server in
            server.respond { request in
                let status = request.path == "/304" ? 304 : 200
                return .reply(status, fields: [.contentEncoding: "gzip"], body: Self.coded(.gzip))
            }
            let client = try ServiceClient(baseURL: server.baseURL)
            let head = try await client.fetch(.head("/head"))
            #expect(head.response.fields[.contentEncoding] == "gzip")
            #expect(head.response.fields[.contentLength] == String(Self.coded(.gzip).readableBytes))
            let unchanged = try await client.fetch("/304")
            #expect(unchanged.response.fields[.contentEncoding] == "gzip")
            #expect(unchanged.isReused)
            await client.shutdown(within: .zero)
        }
    }

    @Test(
        "A coded body that the end of the connection cuts off fails, whether the decoder or the framing notices first",
        .tags(.DC2))
    func cutOff() async throws {
        try await withLoopbackServer { server in
            let whole = ScriptedResponse(200, fields: [.contentEncoding: "gzip"], body: Self.coded(.gzip))
            server.route(.get, "/length") { _ in .cut(after: whole.bytes().readableBytes - 9, of: whole) }
            var ended = whole
            ended.framing = .untilClose
            server.route(.get, "/close") { [ended] _ in .cut(after: ended.bytes().readableBytes - 9, of: ended) }
            let client = try ServiceClient(baseURL: server.baseURL)
            let short = try await serviceError { _ = try await client.fetch("/length") }
            #expect(short.code == .incompleteBody)
            let undetected = try await serviceError { _ = try await client.fetch("/close") }
            #expect(undetected.code == .decompressionFailed)
            await client.shutdown(within: .zero)
        }
    }

    @Test("A bomb of 1 GiB from 1 MB, and one nested in another, fail with less than 16 MiB of memory", .tags(.DC7))
    func bombs() async throws {
        let piece = ByteBuffer(bytes: CodedBytes.encode([UInt8](repeating: 0, count: 1 << 20), as: .gzip))
        let members = (0..<1024).flatMap { _ in piece.readableBytesView }
        let nested = ByteBuffer(bytes: CodedBytes.encode(members, as: .gzip))
        try await withLoopbackServer { server in
            server.onConnection { connection in
                guard let head = try await connection.readRequestHead() else { return }
                let isNested = head.path == "/nested"
                try await connection.send(
                    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\(isNested ? ", gzip" : "")\r\n\r\n")
                if isNested { return try await connection.send(nested) }
                for _ in 0..<1024 { try await connection.send(piece) }
            }
            let client = try ServiceClient(baseURL: server.baseURL)
            let cases: [(String, LimitOverride<Int>, LimitOverride<Int>)] = [
                ("/flat", .inherited, .unlimited), ("/flat", .unlimited, .limited(1 << 26)),
                ("/nested", 200, .unlimited),
            ]
            for (path, ratio, limit) in cases {
                var request = ServiceRequest.get(path)
                request.options.decompression.maximumRatio = ratio
                request.options.decompression.maximumBytes = limit
                let growth = try await ProcessMemory.peakGrowth { [request] in
                    let error = try await serviceError {
                        for try await _ in try await client.send(request).body {}
                    }
                    #expect(error.code == .decompressionLimitExceeded)
                    #expect(error.attempts == 1)
                }
                #expect(growth ?? 0 < 16 << 20)
            }
            // Closed, not read to its end.
            try await server.waitForOpenConnections(count: 0)
            await client.shutdown(within: .zero)
        }
    }

    @Test(
        "The coded body of a retried response is not decoded, and its connection serves the next attempt",
        .tags(.DC8))
    func retried() async throws {
        try await withLoopbackServer { server in
            server.respond { request in
                // The first body would fail if it were decoded.
                request.number == 1
                    ? .reply(503, fields: [.contentEncoding: "gzip"], body: "not gzip")
                    : .reply(200, fields: [.contentEncoding: "gzip"], body: Self.coded(.gzip))
            }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.retry.baseDelay = .milliseconds(1) }
            let fetched = try await client.fetch("/")
            #expect(fetched.text == Self.text)
            #expect(fetched.response.attempts == 2)
            #expect(fetched.isReused)
            #expect(server.requests.map { $0.fields[.acceptEncoding] } == ["gzip, deflate", "gzip, deflate"])
            await client.shutdown(within: .zero)
        }
    }

    @Test("A compressed body is compressed once for all attempts, or again if its sequence is made again")
    func retriedUpload() async throws {
        try await withLoopbackServer { server in
            server.respond { request in request.number == 1 ? .reply(503) : .reply(200) }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.retry.baseDelay = .milliseconds(1) }
            var request = ServiceRequest.put(
                "/",
                body: .replayable {
                    AsyncStream { continuation in
                        continuation.yield(ByteBuffer(string: Self.text))
                        continuation.finish()
                    }
                })
            request.options.compression = .gzip
            let response = try await client.send(request)
            #expect(response.attempts == 2)
            #expect(server.requests.count == 2)
            for request in server.requests {
                #expect(CodedBytes.gunzip(Array(request.body.readableBytesView)) == Array(Self.text.utf8))
                #expect(request.fields[values: .contentEncoding] == ["gzip"])
            }
            await client.shutdown(within: .zero)
        }
    }

    @Test("A coded body that is dropped unread is drained without decoding, and the connection is kept", .tags(.DC8))
    func unread() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in
                // Would fail if it were decoded.
                .reply(200, fields: [.contentEncoding: "gzip"], body: "not gzip", framing: .chunked)
            }
            let client = try ServiceClient(baseURL: server.baseURL)
            for _ in 0..<3 { try await client.get("/").body.discard() }
            let error = try await serviceError { _ = try await client.fetch("/") }
            #expect(error.code == .decompressionFailed)
            #expect(error.origin == server.baseURL)
            await client.shutdown(within: .zero)
            #expect(server.connections.count <= 2)
        }
    }
}
