import Bowline
import BowlineTesting
import Testing

@Suite("Bad configuration and bad URLs")
struct ConfigurationTests {
    typealias Change = @Sendable (inout ClientConfiguration) -> Void

    private static let host = HTTPField.Name("Host")!

    static let mistakes: [(path: String, change: Change)] = [
        ("timeouts.connect", { $0.timeouts.connect = .zero }),
        ("timeouts.connect", { $0.timeouts.connect = .seconds(-1) }),
        ("timeouts.poolAcquire", { $0.timeouts.poolAcquire = .seconds(-1) }),
        ("timeouts.responseHead", { $0.timeouts.responseHead = .zero }),
        ("timeouts.bodyIdle", { $0.timeouts.bodyIdle = .nanoseconds(-1) }),
        ("timeouts.attempt", { $0.timeouts.attempt = .zero }),
        ("timeouts.total", { $0.timeouts.total = .seconds(-60) }),
        ("timeouts.attempt", { $0.timeouts.attempt = .seconds(61) }),
        ("pool.idleTimeout", { $0.pool.idleTimeout = .zero }),
        ("pool.maximumIdlePerOrigin", { $0.pool.maximumIdlePerOrigin = -1 }),
        ("pool.maximumIdle", { $0.pool.maximumIdle = -1 }),
        ("pool.maximumPerOrigin", { $0.pool.maximumPerOrigin = 0 }),
        ("pool.maximumWaiting", { $0.pool.maximumWaiting = -1 }),
        ("pool.maximumLifetime", { $0.pool.maximumLifetime = .seconds(-1) }),
        ("pool.maximumUses", { $0.pool.maximumUses = 0 }),
        ("pool.minimumIdlePerOrigin", { $0.pool.minimumIdlePerOrigin = -1 }),
        ("pool.minimumIdlePerOrigin", { $0.pool.minimumIdlePerOrigin = 65 }),
        (
            "pool.minimumIdlePerOrigin",
            {
                $0.pool.minimumIdlePerOrigin = 3
                $0.pool.maximumPerOrigin = 2
            }
        ),
        (
            "pool.minimumIdlePerOrigin",
            {
                $0.pool.isEnabled = false
                $0.pool.minimumIdlePerOrigin = 1
            }
        ),
        ("connection.readBufferLimit", { $0.connection.readBufferLimit = 1023 }),
        ("connection.writeBufferLimit", { $0.connection.writeBufferLimit = 0 }),
        ("connection.replayLimit", { $0.connection.replayLimit = -1 }),
        ("connection.discardLimit", { $0.connection.discardLimit = -1 }),
        ("connection.discardTimeout", { $0.connection.discardTimeout = .zero }),
        ("connection.maximumHeadBytes", { $0.connection.maximumHeadBytes = 255 }),
        ("connection.maximumHeadBytes", { $0.connection.maximumHeadBytes = 16_777_217 }),
        ("connection.maximumFields", { $0.connection.maximumFields = 0 }),
        ("connection.maximumFields", { $0.connection.maximumFields = 65_001 }),
        ("connection.maximumInformational", { $0.connection.maximumInformational = -1 }),
        ("connection.maximumInformational", { $0.connection.maximumInformational = 1025 }),
        ("lifecycle.drainTimeout", { $0.lifecycle.drainTimeout = .seconds(-1) }),
        ("tls.serverName", { $0.tls.serverName = "" }),
        ("tls.serverName", { $0.tls.serverName = "a b" }),
        ("tls.serverName", { $0.tls.serverName = "a\r\nb" }),
        ("tls.serverName", { $0.tls.serverName = "127.0.0.1" }),
        ("tls.serverName", { $0.tls.serverName = "::1" }),
        ("tls.serverName", { $0.tls.serverName = "*.a.test" }),
        ("tls.pins", { $0.tls.pins = [""] }),
        ("tls.pins", { $0.tls.pins = ["sha256/"] }),
        ("tls.pins", { $0.tls.pins = ["sha1/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="] }),
        ("tls.pins", { $0.tls.pins = ["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"] }),
        ("tls.pins", { $0.tls.pins = ["47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU="] }),
        ("tls.pins", { $0.tls.pins = ["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV="] }),
        ("tls.pins", { $0.tls.pins = ["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuA=="] }),
        ("tls.additionalRoots", { $0.tls.additionalRoots = .file("no/such/file.pem") }),
        ("tls.additionalRoots", { $0.tls.additionalRoots = .pem("no certificate") }),
        ("tls.keyLog", { $0.tls.keyLog = .file("") }),
        ("tls.keyLog", { $0.tls.keyLog = .file("no/such/folder/keys.log") }),
        ("tls.keyLog", { $0.tls.keyLog = .file("/dev/null") }),
        ("tls.identity", { $0.tls.identity = .files(certificate: "c", key: "k", passphrase: "") }),
        ("fields", { $0.fields = [.contentLength: "0"] }),
        ("fields", { $0.fields = [.transferEncoding: "chunked"] }),
        ("fields", { $0.fields = [.connection: "close, x-own"] }),
        ("fields", { $0.fields = [.te: "gzip"] }),
        ("fields", { $0.fields = [.expect: "200-ok"] }),
        ("fields", { $0.fields = [ConfigurationTests.host: "a b"] }),
        ("fields", { $0.fields = [ConfigurationTests.host: "a.test", ConfigurationTests.host: "b.test"] }),
        ("proxy", { $0.proxy = .http("http://proxy.test/path") }),
        ("proxy", { $0.proxy = .https("http://proxy.test") }),
        ("proxy", { $0.proxy = .socks5("socks5://proxy.test:65536") }),
        ("proxy", { $0.proxy = .http("http://user:pass%0Aword@proxy.test") }),
        ("proxy", { $0.proxy = .url("ftp://proxy.test") }),
        ("tls.trustRoots", { $0.tls.trustRoots = .file("no/such/file.pem") }),
        ("tls.trustRoots", { $0.tls.trustRoots = .pem("no certificate") }),
        ("tls.identity", { $0.tls.identity = .files(certificate: "no/such/file.pem", key: "no/such/key.pem") }),
        ("tls.identity", { $0.tls.identity = .pem(certificate: TestCertificates.client.certificate, key: "no key") }),
        (
            "tls.identity",
            {
                $0.tls.identity = .pem(
                    certificate: TestCertificates.client.certificate, key: TestCertificates.server.key
                )
            }
        ),
    ]

    @Test(
        "A value that is out of range, or contradicts another one, is an error that names its property",
        arguments: mistakes.indices)
    func mistakeIsNamed(index: Int) async throws {
        let (path, change) = Self.mistakes[index]
        let error = try await serviceError { _ = try ServiceClient(baseURL: "http://example.com", configure: change) }
        #expect(error.code == .invalidConfiguration)
        #expect(error.message.contains("\(path):"), "\(error.message)")
        #expect(error.progress == .neverSent)
    }

    @Test("The smallest and largest values allowed are accepted", arguments: [false, true])
    func extremes(isLargest: Bool) async throws {
        let client = try ServiceClient(baseURL: "http://example.com") {
            let duration: Duration = isLargest ? .seconds(Int64.max) : .nanoseconds(1)
            $0.timeouts.connect = duration
            $0.timeouts.poolAcquire = duration
            $0.timeouts.responseHead = duration
            $0.timeouts.bodyIdle = duration
            $0.timeouts.attempt = duration
            $0.timeouts.total = duration
            $0.pool.idleTimeout = duration
            $0.pool.maximumLifetime = duration
            $0.pool.maximumIdlePerOrigin = isLargest ? .max : 0
            $0.pool.maximumIdle = isLargest ? .max : 0
            $0.pool.maximumPerOrigin = isLargest ? .max : 1
            $0.pool.maximumWaiting = isLargest ? .max : 0
            $0.pool.maximumUses = isLargest ? .max : 1
            $0.connection.readBufferLimit = isLargest ? 1 << 30 : 1024
            $0.connection.writeBufferLimit = isLargest ? 1 << 30 : 1024
            $0.connection.maximumHeadBytes = isLargest ? 16_777_216 : 256
            $0.connection.maximumFields = isLargest ? 65_000 : 1
            $0.connection.maximumInformational = isLargest ? 1024 : 0
            $0.lifecycle.drainTimeout = isLargest ? duration : .zero
        }
        await client.shutdown(within: .zero)
    }

    @Test("A client with the largest values works without overflow", .timeLimit(.minutes(1)))
    func largestValuesWork() async throws {
        try await withLoopbackServer { server in
            server.respond { .reply(200, body: $0.bodyText) }
            try await withServiceClient(server.baseURL) {
                let duration = Duration.seconds(Int64.max)
                $0.timeouts.connect = duration
                $0.timeouts.poolAcquire = duration
                $0.timeouts.responseHead = duration
                $0.timeouts.bodyIdle = duration
                $0.timeouts.attempt = duration
                $0.timeouts.total = duration
                $0.pool.idleTimeout = duration
                $0.pool.maximumLifetime = duration
                $0.pool.maximumPerOrigin = .max
                $0.pool.maximumIdle = .max
                $0.pool.maximumIdlePerOrigin = .max
                $0.connection.discardTimeout = duration
                $0.lifecycle.drainTimeout = duration
            } _: { client in
                for _ in 1...2 {
                    let fetched = try await client.fetch(.post("/", body: .stream(CountedChunks(of: 3, limit: 1))))
                    #expect(fetched.text == "aaa")
                }
            }
            #expect(server.connections.count == 1)
        }
    }

    @Test("Closures set a configuration and its groups, in the same way as those of a request")
    func closures() throws {
        let lifecycle = LifecycleOptions { $0.drainTimeout = .seconds(1) }
        #expect(lifecycle.drainTimeout == .seconds(1))
        let middleware = MiddlewareOptions { $0.perCall = [] }
        #expect(middleware.perCall.isEmpty)
        #expect(middleware.perAttempt.isEmpty)
        let configuration = ClientConfiguration {
            $0.lifecycle = lifecycle
            $0.retry = RetryOptions { $0.maximumAttempts = 0 }
        }
        #expect(configuration.lifecycle.drainTimeout == .seconds(1))
        #expect(configuration.problems().map(\.path) == ["retry.maximumAttempts"])
    }

    @Test("All problems of a configuration are reported together")
    func problemsTogether() async throws {
        let error = try await serviceError {
            _ = try ServiceClient(baseURL: "http://example.com") {
                $0.timeouts.connect = .zero
                $0.pool.maximumPerOrigin = 0
                $0.connection.maximumFields = 0
            }
        }
        for path in ["timeouts.connect", "pool.maximumPerOrigin", "connection.maximumFields"] {
            #expect(error.message.contains(path))
        }
    }

    @Test("The problems of a client without a base URL are reported together with all others")
    func problemsWithoutBase() async throws {
        let error = try await serviceError {
            _ = try ServiceClient {
                $0.timeouts.connect = .zero
                $0.authentication = try BearerAuthentication(token: "t")
                $0.fields = [.te: "gzip", .expect: "200-ok"]
                $0.resilience.balancing = BalancingOptions {
                    $0.endpoints = .fixed([ServiceEndpoint("http://a.example")])
                }
            }
        }
        let found = try #require(error.underlying as? ConfigurationProblems)
        #expect(
            found.problems.map(\.path) == [
                "timeouts.connect", "fields", "fields", "authentication", "resilience.balancing.endpoints",
            ])
    }

    @Test("A client's fields may be all that a request may have, and are sent")
    func fieldsOfRequests() async throws {
        let stub = StubTransport()
        stub.on(.get, "/", always: .respond(.ok))
        let fields: HTTPFields = [
            Self.host: "other.test:8080", .connection: "close", .te: "trailers", .expect: "100-continue",
            .accept: "text/plain", .accept: "text/html",
        ]
        let client = try ServiceClient(baseURL: "http://example.com", transport: stub) {
            $0.fields = fields
            $0.userAgent = nil
            $0.decompression = .off
        }
        _ = try await client.get("")
        #expect(stub.calls.map(\.fields) == [fields])
        let error = #expect(throws: ServiceError.self) { try client.scoped(to: "a", fields: [.te: "gzip"]) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.contains("fields:") == true)
    }

    @Test("An error of the configuring closure is thrown unchanged")
    func configureThrows() {
        struct Mine: Error {}
        #expect(throws: Mine.self) { _ = try ServiceClient(baseURL: "http://example.com") { _ in throw Mine() } }
    }

    @Test(
        "A malformed base URL is an error when the client is made",
        arguments: [
            "", "example.com", "/v1", "//example.com", "http:/example.com", "http://", "https:///v1",
            "ftp://example.com",
            "http://user@example.com", "http://user:secret@example.com", "http://example.com:0x50",
            "http://example.com:65536", "http://example.com:-1", "http://[::1", "http://[::g]", "http://::1",
            "http://exa mple.com", "http://example.com\\@evil.com", "http://exam\u{0}ple.com", "http://a\r\nb/",
            "http+unix://", "javascript://example.com", "http://?q", "http://#f", "http://@", "http://:80",
        ])
    func malformedBase(text: String) async throws {
        let error = try await serviceError { _ = try ServiceClient(baseURL: text) }
        #expect(error.code == .invalidURL)
        #expect(!error.description.contains("secret"))
        #expect(!error.message.utf8.contains { $0 < 0x20 || $0 == 0x7F })
    }

    @Test(
        "A reference that cannot be used fails its request before a connection is made",
        arguments: [
            "ftp://example.com/", "http://", "http://user:secret@example.com/", "http://example.com:99999/",
            "http://[::1/",
            "http://a b/",
        ])
    func badReference(reference: String) async throws {
        let client = try ServiceClient(baseURL: "http://127.0.0.1:1")
        let error = try await serviceError { _ = try await client.get(reference) }
        #expect(error.code == .invalidURL)
        #expect(error.progress == .neverSent)
        #expect(!error.description.contains("secret"))
        #expect(client.pool.snapshot().opened == 0)
        await client.shutdown()
    }

    @Test("A client without a base refuses a reference that is not absolute")
    func noBase() async throws {
        let client = try ServiceClient()
        let error = try await serviceError { _ = try await client.get("users/42") }
        #expect(error.code == .invalidURL)
        await client.shutdown()
    }

    private struct Echo: ServiceTransport {
        func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
            ServiceResponse(status: .ok, body: ResponseBody(ByteBuffer(string: request.url?.absoluteString ?? "none")))
        }
    }

    @Test("A client over a custom transport needs no base either")
    func transportWithoutBase() async throws {
        let client = try ServiceClient(transport: Echo())
        #expect(client.baseURL == nil)
        #expect(try await client.get("https://api.example.com/users/42").text() == "https://api.example.com/users/42")
        let error = try await serviceError { _ = try await client.get("users/42") }
        #expect(error.code == .invalidURL)
        await client.shutdown()
    }
}
