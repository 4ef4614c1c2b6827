import Bowline
import BowlineTesting
import BowlineTransport
import Dispatch
import NIOCore
import Testing

@Suite("While the system's resolver hangs for one name", .timeLimit(.minutes(2)))
struct HangingNameTests {
    /// Stands for the system's look-ups, which block a thread: those of `hanging.test` until the test ends.
    private final class LookUps: Sendable {
        private let release = DispatchSemaphore(value: 0)
        private let hanging = Guarded(0)

        /// How many look-ups hang now.
        var hangingCount: Int { hanging.withLock { $0 } }

        func answer(_ host: String, _ family: IPAddress.Family) -> Result<ResolvedAddresses, NameLookupError> {
            if host == "hanging.test" {
                hanging.withLock { $0 += 1 }
                release.wait()
                // Others may wait too.
                release.signal()
            }
            let addresses = family == .v4 ? ["127.0.0.1"] : []
            return .success(ResolvedAddresses(addresses.compactMap { IPAddress($0) }, validFor: .zero))
        }

        func end() { release.signal() }
    }

    @Test("1,000 requests on new connections to another name keep their p99")
    func otherNames() async throws {
        let lookUps = LookUps()
        defer { lookUps.end() }
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            var options = TransportOptions()
            options.resolver = SystemResolver(lookUp: { lookUps.answer($0, $1) })
            options.pool.isEnabled = false
            options.proxy = .none
            let transport = try PooledTransport(options: options)
            let client = try ServiceClient(transport: transport) { $0.retry = .never }
            let url = "http://api.test:\(server.port)/"
            _ = try await Self.p99(client, url, count: 100)
            let before = try await Self.p99(client, url, count: 1000)

            let port = server.port
            let stuck = (0..<20).map { _ in Task { try await client.fetch("http://hanging.test:\(port)/") } }
            try await eventually("both families to hang") { lookUps.hangingCount == 2 }
            let during = try await Self.p99(client, url, count: 1000)
            // A request that waits for the hanging name would take seconds.
            #expect(during < max(before * 10, .milliseconds(250)), "p99 \(before) before, \(during) during")

            for task in stuck { task.cancel() }
            for task in stuck { await #expect(throws: CancellationError.self) { _ = try await task.value } }
            await client.shutdown(within: .zero)
            #expect(transport.openChannels == 0)
        }
    }

    /// Sends `count` requests, ten at a time. Returns the time that 99 of 100 requests stay below.
    private static func p99(_ client: ServiceClient, _ url: String, count: Int) async throws -> Duration {
        let times = try await withThrowingTaskGroup(of: [Duration].self) { group in
            for _ in 0..<10 {
                group.addTask {
                    var times: [Duration] = []
                    for _ in 0..<(count / 10) {
                        let start = ContinuousClock.now
                        _ = try await client.fetch(url)
                        times.append(ContinuousClock.now - start)
                    }
                    return times
                }
            }
            return try await group.reduce(into: [Duration]()) { $0 += $1 }.sorted()
        }
        return times[times.count * 99 / 100]
    }
}
