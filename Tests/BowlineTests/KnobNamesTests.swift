import Logging
import Testing

@testable import Bowline

@Suite("Names of knobs in the environment")
struct KnobNamesTests {
    private let names = KnobNames(
        paths: ["timeouts.total", "timeouts.attempt", "pool.maximumIdlePerOrigin", "tls.identity.keyPEM", "userAgent"],
        scope: "http.client")

    @Test(
        "A path is read from its capitals, with an underscore between words and parts",
        arguments: [
            ("timeouts.total", "TIMEOUTS_TOTAL"), ("pool.maximumIdlePerOrigin", "POOL_MAXIMUM_IDLE_PER_ORIGIN"),
            ("tls.identity.keyPEM", "TLS_IDENTITY_KEY_PEM"), ("http2.streamWindow", "HTTP2_STREAM_WINDOW"),
            ("my-api", "MY_API"), ("", ""),
        ])
    func variables(path: String, expected: String) {
        #expect(KnobNames.variable(path) == expected)
    }

    @Test(
        "A variable that is no knob is reported, with the nearest knob if one is near",
        arguments: [
            ("HTTP_CLIENT_TIMEOUT_TOTAL", "HTTP_CLIENT_TIMEOUTS_TOTAL"),
            ("HTTP_CLIENT_TIMEOUTS_ATTEMPTS", "HTTP_CLIENT_TIMEOUTS_ATTEMPT"),
            ("HTTP_CLIENT_POOL_MAX_IDLE_PER_ORIGIN", "HTTP_CLIENT_POOL_MAXIMUM_IDLE_PER_ORIGIN"),
            ("HTTP_CLIENT_USERAGENT", "HTTP_CLIENT_USER_AGENT"), ("HTTP_CLIENT_TOKEN", nil), ("HTTP_CLIENT_", nil),
        ] as [(String, String?)])
    func strays(name: String, nearest: String?) {
        #expect(names.strays(among: [name]) == [KnobNames.Stray(name: name, nearest: nearest)])
    }

    @Test("Knobs, other scopes and other variables are not reported; unknown ones come in order")
    func order() {
        let found = names.strays(among: [
            "HTTP_CLIENT_Z", "HTTP_CLIENT_TIMEOUTS_TOTAL", "HTTP_CLIENTS_TIMEOUTS_TOTAL", "TIMEOUTS_TOTAL", "PATH",
            "HTTP_CLIENT_A", "HTTP_CLIENT",
        ])
        #expect(found.map(\.name) == ["HTTP_CLIENT_A", "HTTP_CLIENT_Z"])
        let long = "HTTP_CLIENT_" + String(repeating: "A", count: 100_000)
        #expect(names.strays(among: [long]) == [KnobNames.Stray(name: long, nearest: nil)])
    }

    @Test(
        "A reader's findings are logged once, when the client is made, in the client's log, and not for derived clients"
    )
    func warnings() async throws {
        let lines = LogLines()
        let client = try ServiceClient {
            $0.telemetry.logger = lines.logger()
            $0.reading.warnings = ["HTTP_CLIENT_TIMEOUT_TOTAL is no knob"]
            $0.reading.total = .seconds(5)
            $0.timeouts.total = .seconds(5)
            $0.timeouts.attempt = .seconds(9)
        }
        #expect(lines.all.map(\.level) == [.warning, .warning])
        #expect(lines.all.first?.message == "HTTP_CLIENT_TIMEOUT_TOTAL is no knob")
        #expect(lines.all.last?.message.hasPrefix("timeouts.attempt (9000 ms) is longer than timeouts.total") == true)
        #expect(client.configuration.timeouts.attempt == .seconds(5))
        _ = try client.with { $0.timeouts.bodyIdle = .seconds(3) }
        #expect(lines.all.count == 2)
        await client.shutdown()
    }
}
