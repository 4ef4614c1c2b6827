import Bowline
import BowlineTesting
import Logging
import Testing

@Suite("The line of a shutdown has no path", .timeLimit(.minutes(1)))
struct ShutdownLogPathTests {
    @Test("The warning about calls that were cut off contains no path of a call without a template, as errors do not")
    func paths() async throws {
        let lines = LogLines()
        try await withLoopbackServer { server in
            server.respond { _ in .stall }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.telemetry.logger = lines.logger() }
            async let call = serviceError { _ = try await client.get("reset/canary-token") }
            try await server.waitForRequests(count: 1)
            _ = await client.shutdown(within: .zero)
            let error = try await call
            #expect(!"\(error)".contains("canary"))
        }
        let line = try #require(lines.all.first { $0.level == .warning })
        #expect(line.message.contains("1 forced [GET"))
        #expect(!line.message.contains("canary"), "\(line.message)")
    }
}
