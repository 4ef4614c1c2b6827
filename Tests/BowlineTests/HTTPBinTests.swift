import Bowline
import BowlinePlatform
import BowlineTesting
import Testing

/// Against a real httpbin, which `Scripts/httpbin-checks` starts. Without one the suite is skipped.
private enum HTTPBin {
    static let base: String? = getenv("BOWLINE_HTTPBIN").map { String(cString: $0) }
    static var isThere: Bool { base != nil }

    static func with(
        _ configure: (inout ClientConfiguration) throws -> Void = { _ in },
        _ body: (ServiceClient) async throws -> Void
    ) async throws {
        try await withServiceClient(try #require(base), configure: configure, body)
    }
}

/// What httpbin says that it received.
private struct Echo: Decodable {
    var args: [String: String]?
    var data: String?
    var files: [String: String]?
    var form: [String: String]?
    var headers: [String: String]
    var json: [String: String]?
    var method: String?
    var url: String?
    var gzipped: Bool?
    var deflated: Bool?

    func header(_ name: String) -> String? {
        headers.first { $0.key.lowercased() == name.lowercased() }?.value
    }
}

@Suite("Against httpbin", .enabled(if: HTTPBin.isThere), .timeLimit(.minutes(2)))
struct HTTPBinTests {
    @Test(
        "gzip and deflate are decoded and recorded; with decompression off they stay as they came",
        arguments: ["gzip", "deflate"])
    func codings(coding: String) async throws {
        try await HTTPBin.with { client in
            let response = try await client.get(coding)
            #expect(response.facts.removedCodings == [coding])
            #expect(response.fields[.contentEncoding] == nil)
            #expect(response.fields[.contentLength] == nil)
            let echo = try await response.decode(Echo.self)
            #expect((coding == "gzip" ? echo.gzipped : echo.deflated) == true)
            #expect(echo.header("Accept-Encoding") == "gzip, deflate")

            var raw = ServiceRequest.get(coding)
            raw.options.decompression = .off
            let untouched = try await client.send(raw)
            #expect(untouched.fields[.contentEncoding] == coding)
            #expect(try await untouched.body.collect(upTo: 1 << 20).readableBytes > 0)
        }
    }

    @Test("Relative and absolute redirects are followed to the end; the last response has its own URL")
    func redirectChains() async throws {
        try await HTTPBin.with { client in
            for path in ["redirect/5", "relative-redirect/5", "absolute-redirect/5"] {
                let response = try await client.get(path)
                #expect(response.status == .ok)
                #expect(response.facts.redirects.count == 5)
                #expect(response.facts.redirects.last?.path == "/get")
                _ = try await response.body.collect(upTo: 1 << 20)
            }
            let error = await #expect(throws: ServiceError.self) { try await client.get("redirect/11") }
            #expect(error?.code == .tooManyRedirects)
            var none = ServiceRequest.get("redirect/1")
            none.options.redirect = .never
            let stopped = try await client.send(none)
            #expect(stopped.status == .found)
            stopped.body.discard()
        }
    }

    @Test(
        "A redirect of each kind keeps or changes method and body by RFC 9110 §15.4",
        arguments: [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
    func redirectKinds(status: Int, method: String) async throws {
        try await HTTPBin.with { client in
            let response = try await client.post(
                "redirect-to?url=/anything&status_code=\(status)", body: .text("payload"),
                fields: [.contentType: "text/plain"])
            let echo = try await response.decode(Echo.self)
            #expect(echo.method == method)
            #expect(echo.data == (method == "POST" ? "payload" : ""))
            #expect((echo.header("Content-Type") == "text/plain") == (method == "POST"))
        }
    }

    @Test(
        "A status is a response until the caller expects another one", arguments: [400, 401, 403, 404, 418, 500, 501])
    func statuses(status: Int) async throws {
        try await HTTPBin.with { client in
            let response = try await client.get("status/\(status)")
            #expect(response.status.code == status)
            #expect(response.attempts == 1)
            _ = try await response.body.collect(upTo: 1 << 20)
            let error = await #expect(throws: ServiceError.self) {
                try await client.get("status/\(status)").expecting(.ok)
            }
            #expect(error?.code == .unexpectedStatus)
            #expect(error?.unexpectedStatus?.status.code == status)
        }
    }

    @Test("A temporary status is retried", arguments: [429, 502, 503, 504])
    func retried(status: Int) async throws {
        try await HTTPBin.with({
            $0.retry.baseDelay = .milliseconds(1)
            $0.retry.throttledBaseDelay = .milliseconds(1)
        }) { client in
            let response = try await client.get("status/\(status)")
            #expect(response.status.code == status)
            #expect(response.attempts == 3)
            _ = try await response.body.collect(upTo: 1 << 20)
            let posted = try await client.post("status/\(status)")
            #expect(posted.attempts == 1)
            _ = try await posted.body.collect(upTo: 1 << 20)
        }
    }

    @Test("Streams, drips and bytes arrive whole")
    func bodies() async throws {
        try await HTTPBin.with { client in
            var lines = 0
            for try await chunk in try await client.get("stream/50").body {
                lines += chunk.readableBytesView.filter { $0 == UInt8(ascii: "\n") }.count
            }
            #expect(lines == 50)
            let dripped = try await client.get("drip?numbytes=10&duration=1&delay=0").body.collect(upTo: 100)
            #expect(dripped == ByteBuffer(repeating: UInt8(ascii: "*"), count: 10))
            let bytes = try await client.get("bytes/100000?seed=1").body.collect(upTo: 100_000)
            #expect(bytes.readableBytes == 100_000)
            let streamed = try await client.get("stream-bytes/65537?seed=1&chunk_size=1000").body.collect(upTo: 100_000)
            #expect(streamed.readableBytes == 65_537)
        }
    }

    @Test("A range is answered with 206 and its bytes alone; the client offers no codings for it")
    func range() async throws {
        try await HTTPBin.with { client in
            let response = try await client.get("range/1024", fields: [.range: "bytes=10-19"])
            #expect(response.status == .partialContent)
            #expect(response.fields[.contentRange] == "bytes 10-19/1024")
            #expect(try await response.text() == "klmnopqrst")
            let echo = try await client.get("anything", fields: [.range: "bytes=0-1"]).decode(Echo.self)
            #expect(echo.header("Accept-Encoding") == nil)
        }
    }

    @Test("Basic authentication succeeds with the right password and gets 401 with a wrong one")
    func basic() async throws {
        let right = try BasicAuthentication(user: "ada", password: "s3cret")
        try await HTTPBin.with({ $0.authentication = right }) { client in
            let response = try await client.get("basic-auth/ada/s3cret")
            #expect(response.status == .ok)
            _ = try await response.body.collect(upTo: 1 << 20)
            let refused = try await client.get("basic-auth/ada/other")
            #expect(refused.status == .unauthorized)
            _ = try await refused.body.collect(upTo: 1 << 20)
        }
    }

    @Test("Bearer authentication sends the token, and no other client field")
    func bearer() async throws {
        let token = try BearerAuthentication(token: "t0ken")
        try await HTTPBin.with({ $0.authentication = token }) { client in
            struct Answer: Decodable { let authenticated: Bool, token: String }
            let answer = try await client.get("bearer").decode(Answer.self)
            #expect(answer.authenticated)
            #expect(answer.token == "t0ken")
        }
        try await HTTPBin.with { client in
            let refused = try await client.get("bearer")
            #expect(refused.status == .unauthorized)
            _ = try await refused.body.collect(upTo: 1 << 20)
        }
    }

    @Test("Cookies are untouched: those of a response are not kept, those of a request are sent")
    func cookies() async throws {
        try await HTTPBin.with { client in
            struct Answer: Decodable { let cookies: [String: String] }
            let set = try await client.get("cookies/set?a=1")
            #expect(try await set.decode(Answer.self).cookies.isEmpty)
            let sent = try await client.get("cookies", fields: [.cookie: "b=2; c=3"])
            #expect(try await sent.decode(Answer.self).cookies == ["b": "2", "c": "3"])
        }
    }

    @Test("A delay longer than a limit is that limit's error; a shorter one is waited for")
    func delays() async throws {
        let limits: [(ServiceError.Code, (inout ClientConfiguration) -> Void)] = [
            (.responseHeadTimeout, { $0.timeouts.responseHead = .milliseconds(300) }),
            (.attemptTimeout, { $0.timeouts.attempt = .milliseconds(300) }),
            (.deadlineExceeded, { $0.timeouts.total = .milliseconds(300) }),
        ]
        for (code, limit) in limits {
            try await HTTPBin.with({
                $0.retry = .never
                limit(&$0)
            }) { client in
                let error = await #expect(throws: ServiceError.self) { try await client.get("delay/3") }
                #expect(error?.code == code)
                #expect(error?.phase == .awaitingHead)
            }
        }
        try await HTTPBin.with({
            $0.retry = .never
            $0.timeouts.bodyIdle = .milliseconds(300)
        }) { client in
            let response = try await client.get("drip?numbytes=2&duration=4&delay=0")
            let error = await #expect(throws: ServiceError.self) { try await response.body.collect(upTo: 100) }
            #expect(error?.code == .bodyIdleTimeout)
        }
        try await HTTPBin.with { client in
            let response = try await client.get("delay/1")
            #expect(response.status == .ok)
            _ = try await response.body.collect(upTo: 1 << 20)
        }
    }

    @Test("anything: a GET sends its path, its query and the client's fields, and no body")
    func anything() async throws {
        try await HTTPBin.with { client in
            let base = try #require(HTTPBin.base)
            let plain = try await client.get("anything/a%20b", query: ["q": "1 & 2", "ü": "€"]).decode(Echo.self)
            #expect(plain.method == "GET")
            #expect(plain.args == ["q": "1 & 2", "ü": "€"])
            #expect(plain.data == "")
            #expect(Set(plain.headers.keys.map { $0.lowercased() }) == ["host", "accept-encoding", "user-agent"])
            #expect(plain.header("Host") == base.replacing("http://", with: ""))
        }
    }

    @Test("anything: a JSON body is sent with its type and its length")
    func anythingJSON() async throws {
        try await HTTPBin.with { client in
            let json = try await client.post("anything", json: ["name": "Ada"]).decode(Echo.self)
            #expect(json.method == "POST")
            #expect(json.json == ["name": "Ada"])
            #expect(json.header("Content-Type") == "application/json")
            #expect(json.header("Content-Length") == "14")
        }
    }

    @Test("anything: the fields and the file of a form arrive")
    func anythingForms() async throws {
        try await HTTPBin.with { client in
            let form = try await client.post("anything", body: .form(["a": "1 +&=", "b": "é"])).decode(Echo.self)
            #expect(form.form == ["a": "1 +&=", "b": "é"])

            var parts = MultipartForm()
            parts.append("title", "Holidays")
            parts.append("file", file: .text("content"), fileName: "a.txt", contentType: "text/plain")
            let multipart = try await client.post("anything", body: .multipart(parts)).decode(Echo.self)
            #expect(multipart.form == ["title": "Holidays"])
            #expect(multipart.files == ["file": "content"])
        }
    }

    @Test("anything: a stream of known length is sent whole, with its length")
    func anythingStream() async throws {
        try await HTTPBin.with { client in
            let stream = AsyncStream<ByteBuffer> { continuation in
                for word in ["one ", "two ", "three"] { continuation.yield(ByteBuffer(string: word)) }
                continuation.finish()
            }
            let streamed = try await client.put("anything", body: .stream(stream, length: 13)).decode(Echo.self)
            #expect(streamed.method == "PUT")
            #expect(streamed.data == "one two three")
            #expect(streamed.header("Content-Length") == "13")
        }
    }

    @Test("anything: a DELETE without a body sends no length")
    func anythingDelete() async throws {
        try await HTTPBin.with { client in
            let deleted = try await client.delete("anything").decode(Echo.self)
            #expect(deleted.method == "DELETE")
            #expect(deleted.header("Content-Length") == nil)
        }
    }
}
