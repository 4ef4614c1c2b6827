import Bowline
import BowlineTesting
import Foundation
import NIOCore
import Testing

@Suite("How long a download may take", .timeLimit(.minutes(1)))
struct DownloadDeadlineTests {
    /// The place that asks for a total.
    enum Asked: String, CaseIterable, Sendable {
        case nowhere, configuration, sixtySecondsInConfiguration, derived, options, task

        /// The time after which the download ends; nil: no limit.
        var limit: Duration? {
            switch self {
            case .nowhere: nil
            case .sixtySecondsInConfiguration: .seconds(60)
            default: .seconds(40)
            }
        }
    }

    /// Sends a byte every ten seconds of the clock for 300 seconds, so that bodyIdle (30 s) never passes.
    private static func serve(_ server: LoopbackServer, _ clock: TestClock) {
        server.onConnection { connection in
            _ = try await connection.readRequest()
            try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n")
            for _ in 0..<30 {
                try await clock.sleep(until: clock.now.advanced(by: .seconds(10)), tolerance: nil)
                try await connection.send("x")
            }
            try await connection.stall()
        }
    }

    private static func client(_ server: LoopbackServer, _ clock: TestClock, _ asked: Asked) throws -> ServiceClient {
        let client = try ServiceClient(baseURL: server.baseURL) {
            $0.clock = clock
            $0.retry = .never
            $0.timeouts.responseHead = nil
            $0.timeouts.bodyIdle = nil
            if asked == .configuration { $0.timeouts.total = .seconds(40) }
            if asked == .sixtySecondsInConfiguration { $0.timeouts.total = .seconds(60) }
        }
        return asked == .derived ? try client.with { $0.timeouts.total = .seconds(40) } : client
    }

    @Test(
        "A download has no total limit unless the program asks for one or the task has a deadline",
        arguments: Asked.allCases)
    func total(asked: Asked) async throws {
        let clock = TestClock()
        try await withTemporaryFolder { folder in
            try await withLoopbackServer { server in
                Self.serve(server, clock)
                let client = try Self.client(server, clock, asked)
                let result = try await clock.run {
                    let deadline = asked == .task ? clock.now.advanced(by: .seconds(40)) : .distantFuture
                    return try await Deadline.with(Deadline(deadline)) {
                        try await client.download("a", to: folder.file("down")) {
                            if asked == .options { $0.timeouts.total = .seconds(40) }
                        }
                    }
                } once: {
                    try await server.waitForRequests(count: 1)
                }
                if let limit = asked.limit {
                    let error = #expect(throws: ServiceError.self) { _ = try result.get() }
                    #expect(error?.code == .deadlineExceeded)
                    #expect(clock.now >= MonotonicInstant(nanoseconds: 0).advanced(by: limit))
                    // Before the body's end.
                    #expect(clock.now < MonotonicInstant(nanoseconds: 0).advanced(by: .seconds(300)))
                    #expect(try folder.names().isEmpty)
                } else {
                    #expect(try result.get() == 30)
                    #expect(clock.now >= MonotonicInstant(nanoseconds: 300_000_000_000))
                    #expect(try folder.read("down").count == 30)
                }
                await client.shutdown(within: .zero)
            }
        }
    }

    @Test("bodyIdle applies to a download without a total")
    func idle() async throws {
        let clock = TestClock()
        try await withTemporaryFolder { folder in
            try await withLoopbackServer { server in
                server.respond { _ in .bytes("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nx").thenStall() }
                let client = try ServiceClient(baseURL: server.baseURL) {
                    $0.clock = clock
                    $0.retry = .never
                    // The head may come after the clock has moved.
                    $0.timeouts.responseHead = nil
                }
                let error = try await clock.failure {
                    try await client.download("a", to: folder.file("down"))
                } once: {
                    try await server.waitForRequests(count: 1)
                }
                #expect(error.code == .bodyIdleTimeout)
                await client.shutdown(within: .zero)
            }
        }
    }

    @Test("Timeouts are equal by value, whether set or default, and a mirror lists the limits alone")
    func values() {
        var set = Timeouts()
        set.total = .seconds(60)
        #expect(set == Timeouts())
        #expect(set.hashValue == Timeouts().hashValue)
        #expect(
            Mirror(reflecting: set).children.compactMap(\.label)
                == ["connect", "poolAcquire", "responseHead", "bodyIdle", "attempt", "total"])
    }
}
