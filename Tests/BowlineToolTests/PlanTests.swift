internal import Bowline
internal import Testing

@testable import BowlineTool

@Suite("What a command line asks for")
struct PlanTests {
    @Test("without options there is one GET for each URL, by one worker, with the SDK's defaults")
    func defaults() throws {
        let plan = try CommandLine.plan(urls: ["http://a.test/1", "http://b.test/2"])
        #expect(plan.count == 2)
        #expect(plan.workers == 1)
        #expect(plan.requests.map(\.method) == [.get, .get])
        #expect(plan.requests.map { $0.url?.path } == ["/1", "/2"])
        #expect(plan.configuration.pool == PoolOptions())
        #expect(plan.configuration.timeouts == Timeouts())
        #expect(plan.configuration.tls == TLSOptions())
        #expect(plan.configuration.decompression == DecompressionOptions())
        #expect(plan.drain == .seconds(25))
        #expect(plan.output == OutputPlan())
    }

    @Test("requests go round-robin over the URLs, the first at once")
    func roundRobin() throws {
        let plan = try CommandLine.plan("-n", "5", urls: ["http://a.test/", "http://b.test/"])
        #expect((0..<plan.count).map { plan.urls[plan.place(of: $0)] }.map { $0.dropFirst(7).first } == Array("ababa"))
    }

    @Test("Attempts and redirects are the SDK's by default: the tool shows what the SDK does")
    func attemptsAndRedirects() throws {
        let plain = try CommandLine.plan().configuration
        #expect(plain.retry.maximumAttempts == RetryOptions().maximumAttempts)
        #expect(plain.redirect.maximum == RedirectOptions().maximum)
        let single = try CommandLine.plan("--max-attempts", "1", "--follow", "0").configuration
        #expect(single.retry.maximumAttempts == 1)
        #expect(single.redirect.maximum == 0)
        let asked = try CommandLine.plan("--max-attempts", "4", "--follow", "7").configuration
        #expect(asked.retry.maximumAttempts == 4)
        #expect(asked.redirect.maximum == 7)
    }

    @Test("The resilience options set the client's policies; without them all are off")
    func resilience() throws {
        let plain = try CommandLine.plan().configuration
        #expect(!plain.resilience.hasGates)
        #expect(plain.resilience.hedging == nil)
        #expect(plain.resilience.balancing == nil)
        #expect(plain.resolver == nil)
        let asked = try CommandLine.plan(
            "--rate", "12.5", "--concurrency-limit", "7", "--breaker", "--hedge-after", "0.2", "--balance"
        ).configuration.resilience
        #expect(asked.rate?.perSecond == 12.5)
        #expect(asked.concurrency?.limit == .fixed(7))
        #expect(asked.breaker == BreakerOptions())
        #expect(asked.hedging?.delay == .after(.milliseconds(200)))
        #expect(asked.balancing != nil)
        let standard = try CommandLine.plan("--resilience", "standard", "--concurrency-limit", "adaptive").configuration
        #expect(standard.resilience.breaker == BreakerOptions())
        #expect(standard.resilience.concurrency?.limit == .adaptive())
        #expect(standard.resilience.sharesRetryAfter)
    }

    @Test("--endpoint replaces the origin of the URLs, which must be one")
    func endpoints() throws {
        let plan = try CommandLine.plan(
            "--endpoint", "http://127.0.0.1:81", "--endpoint", "http://127.0.0.2:81/v2",
            urls: ["http://api.test/1", "http://api.test/2"])
        #expect(plan.baseURL == "http://api.test:80")
        guard case .fixed(let endpoints)? = plan.configuration.resilience.balancing?.endpoints else {
            Issue.record("no endpoints")
            return
        }
        #expect(endpoints.map(\.url) == ["http://127.0.0.1:81", "http://127.0.0.2:81/v2"])
    }

    @Test("--resolve gives a host's addresses, and the system resolves all other names")
    func resolve() async throws {
        let plan = try CommandLine.plan(
            "--resolve", "API.test:127.0.0.1,[::1]", "--resolve", "api.test:127.0.0.2", urls: ["http://api.test/"])
        let resolver = try #require(plan.configuration.resolver)
        let addresses = try await resolver.resolve("api.test", .v4).addresses
        #expect(addresses == [IPAddress("127.0.0.1"), IPAddress("127.0.0.2")])
        let sixth = try await resolver.resolve("api.test", .v6).addresses
        #expect(sixth == [IPAddress("::1")])
    }

    @Test("--targets adds the URLs of a file, some with a method of their own")
    func targets() throws {
        let file = try TargetsFile(
            "# two orders\nPOST http://a.test/orders/1\r\n\nhttp://a.test/2\n  PURGE\thttp://a.test/3")
        let plan = try CommandLine.plan("--targets", file.path, "-H", "X-A: 1", urls: ["http://a.test/0"])
        #expect(plan.count == 4)
        #expect(plan.requests.map(\.method.rawValue) == ["GET", "POST", "GET", "PURGE"])
        #expect(plan.requests.map { $0.url?.path } == ["/0", "/orders/1", "/2", "/3"])
        #expect(plan.requests.allSatisfy { $0.fields.map(\.value) == ["1"] })
        #expect(try CommandLine.plan("--targets", file.path, urls: []).urls.count == 3)
    }

    @Test("--targets reads files that are longer than one read")
    func longTargets() throws {
        let urls = (0..<20_000).map { "http://a.test/\($0)" }
        let file = try TargetsFile(urls.joined(separator: "\n"))
        #expect(try CommandLine.plan("--targets", file.path, urls: []).urls == urls)
    }

    @Test("--pace says when each request is due, counted from the first")
    func pace() throws {
        #expect(try CommandLine.plan().pace == nil)
        let plan = try CommandLine.plan("--pace", "400", "-n", "9")
        let pace = try #require(plan.pace)
        #expect([0, 1, 400, 4001].map(pace.due) == [0, 2500, 1_000_000, 10_002_500].map { .microseconds($0) })
        #expect(Pace(perSecond: 0.001).due(.max) == .seconds(1_000_000_000))
    }

    @Test("--no-decompress keeps bodies as received")
    func raw() throws {
        #expect(try CommandLine.plan("--no-decompress").configuration.decompression == .off)
    }

    @Test("there are never more workers than requests")
    func workers() throws {
        #expect(try CommandLine.plan("-n", "3", "-c", "50").workers == 3)
        #expect(try CommandLine.plan("-n", "50", "-c", "3").workers == 3)
    }

    @Test(
        "The method is the given one, or else GET, or POST with a body",
        arguments: [
            ([], "GET"), (["-d", "a"], "POST"), (["-d", ""], "POST"), (["-d", "a", "-X", "PUT"], "PUT"),
            (["-X", "PURGE"], "PURGE"),
        ])
    func method(arguments: [String], method: String) throws {
        #expect(try CommandLine.plan([CommandLine.url] + arguments).requests.map(\.method.rawValue) == [method])
    }

    @Test("-d is the body as text, even if it begins with a hyphen")
    func data() throws {
        #expect(try CommandLine.plan("-d", "näh").requests[0].body.length == 4)
        #expect(try CommandLine.plan("-d", "--json").requests[0].body.length == 6)
    }

    @Test("-H may be given several times; space around the value does not belong to it")
    func headers() throws {
        let fields = try CommandLine.plan("-H", "X-A: one", "-H", "x-a:\ttwo \t", "-H", "X-B:", "-H", "X-C: a:b")
            .requests[0].fields
        #expect(fields.map(\.name.rawName) == ["X-A", "x-a", "X-B", "X-C"])
        #expect(fields.map(\.value) == ["one", "two", "", "a:b"])
    }

    @Test("times are in seconds, fractions allowed")
    func times() throws {
        let plan = try CommandLine.plan(
            "--connect-timeout", "0.25", "--head-timeout", "2", "--body-idle-timeout", "1.5", "--timeout", "7",
            "--idle-timeout", "0.5", "--interval", "0.005", "--drain", "1", "--shutdown-after", "0"
        )
        let timeouts = plan.configuration.timeouts
        #expect(timeouts.connect == .milliseconds(250))
        #expect(timeouts.responseHead == .seconds(2))
        #expect(timeouts.bodyIdle == .milliseconds(1500))
        #expect(timeouts.total == .seconds(7))
        #expect(plan.configuration.pool.idleTimeout == .milliseconds(500))
        #expect(plan.interval == .milliseconds(5))
        #expect(plan.drain == .seconds(1))
        #expect(plan.configuration.lifecycle.drainTimeout == .seconds(1))
        #expect(plan.shutdownAfter == .zero)
    }

    @Test("a longer --connect-timeout lengthens the wait for a connection with it")
    func connectTimeoutAndAcquire() throws {
        #expect(try CommandLine.plan("--connect-timeout", "40").configuration.timeouts.poolAcquire == .seconds(40))
        #expect(try CommandLine.plan("--connect-timeout", "1").configuration.timeouts.poolAcquire == .seconds(10))
    }

    @Test("With -o there is no total timeout by default")
    func download() throws {
        #expect(try CommandLine.plan("-o", "/dev/null").configuration.timeouts.total == nil)
        #expect(try CommandLine.plan("-o", "/dev/null", "--timeout", "5").configuration.timeouts.total == .seconds(5))
    }

    @Test(
        "A preset has a name, and single options override it",
        arguments: [
            ("highThroughput", PoolOptions.highThroughput), ("low-memory", .lowMemory),
            ("MANYDESTINATIONS", .manyDestinations),
        ])
    func presets(name: String, expected: PoolOptions) throws {
        #expect(try CommandLine.plan("--preset", name).configuration.pool == expected)
        let changed = try CommandLine.plan("--max-idle", "7", "--preset", name, "--max-connections", "9", "--no-pool")
            .configuration.pool
        #expect(changed.maximumIdlePerOrigin == 7)
        #expect(changed.maximumPerOrigin == 9)
        #expect(changed.isEnabled == false)
        #expect(changed.idleTimeout == expected.idleTimeout)
    }

    @Test("--max-idle above the limit over all origins raises that limit too")
    func manyIdle() throws {
        #expect(try CommandLine.plan("--max-idle", "1000").configuration.pool.maximumIdle == 1000)
        #expect(try CommandLine.plan("--max-idle", "2").configuration.pool.maximumIdle == PoolOptions().maximumIdle)
    }

    @Test("--idempotent and --no-resend are options of each request")
    func attempts() throws {
        #expect(try CommandLine.plan("--idempotent", "-d", "a").requests[0].isIdempotent)
        #expect(try !CommandLine.plan("-d", "a").requests[0].isIdempotent)
        #expect(try !CommandLine.plan("--no-resend").requests[0].options.allowsResend)
        #expect(try CommandLine.plan("--max-attempts", "1", "--follow", "0").requests[0].options.allowsResend)
    }

    @Test("--insecure checks no certificate")
    func insecure() throws {
        #expect(try CommandLine.plan("--insecure").configuration.tls.verification == .disabled)
    }

    @Test(
        "The proxy is the environment's, the given one, or none",
        arguments: [
            ([String](), ProxyChoice.environment), (["--no-proxy"], .none),
            (["--proxy", "http://user:word@a.test:3128"], .http("http://user:word@a.test:3128")),
            (["--proxy", "a.test:3128"], .http("a.test:3128")), (["--proxy", "https://a.test"], .https("a.test")),
            (["--proxy", "socks5h://a.test"], .socks5("a.test")),
            (["--proxy", "socks5://[::1]:1081"], .socks5("socks5://[::1]:1081")),
        ])
    func proxy(arguments: [String], expected: ProxyChoice) throws {
        #expect(try CommandLine.plan([CommandLine.url] + arguments).configuration.proxy == expected)
    }

    @Test("output options")
    func output() throws {
        let output = try CommandLine.plan("--json", "-v", "--quiet", "--fail", "--drop-body", "--max-body", "10").output
        let expected = OutputPlan(
            isJSON: true, isVerbose: true, isQuiet: true, failsOnStatus: true, dropsBodies: true, maximumBody: 10
        )
        #expect(output == expected)
    }
}
