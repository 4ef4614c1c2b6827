import Bowline
import BowlineTesting
import Logging
import ServiceLifecycleTestKit
import Testing

@Suite("The log of a shutdown", .timeLimit(.minutes(1)))
struct ShutdownLogTests {
    @Test("A clean shutdown writes its report at info, once, however many callers ask for it")
    func clean() async throws {
        let lines = LogLines()
        let client = try ServiceClient(baseURL: "http://example.com", transport: StubTransport()) {
            $0.telemetry.logger = lines.logger()
        }
        async let first = client.shutdown()
        async let second = client.shutdown()
        let reports = await [first, second]
        #expect(reports.map(\.isClean) == [true, true])
        let line = try #require(lines.all.first)
        #expect(lines.all.count == 1)
        #expect(line.level == .info)
        #expect(line.message.hasPrefix("shut down, clean: 0 drained, 0 forced"))
        #expect(line.metadata["bowline.shutdown.forced"] == "0")
    }

    @Test("A shutdown that cuts calls off writes a warning that names them")
    func cutOff() async throws {
        let lines = LogLines()
        try await withLoopbackServer { server in
            server.respond { _ in .stall }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.telemetry.logger = lines.logger() }
            async let call = serviceError {
                _ = try await client.get("slow/7?token=canary") { $0.targetTemplate = "slow/{id}" }
            }
            try await server.waitForRequests(count: 1)
            let report = await client.shutdown(within: .zero)
            #expect(try await call.code == .forciblyClosed)
            #expect(report.forced.count == 1)
        }
        // The attempt's own failure is a line, too.
        let line = try #require(lines.all.first { $0.level == .warning })
        #expect(line.message.contains("1 forced [GET slow/{id} ("))
        #expect(line.metadata["bowline.shutdown.forced"] == "1")
        #expect(!"\(lines.all)".contains("canary"))
    }

    @Test("In a service group the report is in the log, though no caller gets it")
    func serviceGroup() async throws {
        let lines = LogLines()
        let client = try ServiceClient(baseURL: "http://example.com", transport: StubTransport()) {
            $0.telemetry.logger = lines.logger()
        }
        try await testGracefulShutdown { trigger in
            async let running: Void = client.run()
            trigger.triggerGracefulShutdown()
            try await running
        }
        #expect(lines.all.map(\.level) == [.info])
        #expect(lines.all.first?.message.hasPrefix("shut down, clean") == true)
    }
}
