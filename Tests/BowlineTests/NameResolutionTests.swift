import Bowline
import BowlineTesting
import BowlineTransport
import Dispatch
import Testing

@Suite("While a host name is being resolved", .timeLimit(.minutes(1)))
struct NameResolutionTests {
    @Test("Look-ups that go on after their dials have connected do not delay other names")
    func leftBehind() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            // Stands for name servers that drop questions for IPv6 addresses.
            let release = DispatchSemaphore(value: 0)
            var options = TransportOptions()
            options.variable = { _ in nil }
            options.connectTimeout = .seconds(3)
            options.resolver = SystemResolver(lookUp: { _, family in
                if family == .v6 { release.wait() }
                let found = family == .v4 ? ["127.0.0.1"] : []
                return .success(ResolvedAddresses(found.compactMap { IPAddress($0) }))
            })
            let client = try ServiceClient(transport: try PooledTransport(options: options)) { $0.retry = .never }
            var failures: [String] = []
            for number in 1...40 {
                do {
                    _ = try await client.fetch("http://host\(number).test:\(server.port)/")
                } catch {
                    failures.append("host \(number): \(error)")
                    break
                }
            }
            for _ in 0..<200 { release.signal() }
            await client.shutdown(within: .zero)
            #expect(failures == [])
        }
    }

    @Test(
        "Cancelling ends the request at once; the dial goes on, and its connection serves the next request", .tags(.CA3)
    )
    func cancelled() async throws {
        try await StalledNames.with { client, transport, names, server in
            server.respond { _ in .reply(200, body: "x") }
            let task = Task { try await client.fetch("/never") }
            try await names.asked.wait()
            task.cancel()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
            #expect(transport.snapshot().waiting == 0)
            #expect(transport.snapshot().dialling == 1)
            #expect(server.connections.isEmpty)
            try await names.answer()
            try await eventually("the late connection in the pool") { transport.snapshot().idle == 1 }
            #expect(try await client.fetch("/next").connectionID == 1)
            #expect(server.connections.count == 1)
            #expect(server.executions(of: "/never") == 0)
        }
    }

    @Test("Cancelling without a pool cancels the dial: a later answer opens no socket", .tags(.CA3))
    func cancelledWithoutPool() async throws {
        try await StalledNames.with(configure: { $1.pool.isEnabled = false }) { client, transport, names, server in
            let task = Task { try await client.fetch("/never") }
            try await names.asked.wait()
            task.cancel()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
            #expect(transport.snapshot().dialling == 0)
            try await names.answer()
            #expect(transport.openChannels == 0)
            #expect(server.connections.isEmpty)
        }
    }

    @Test(
        "connect, poolAcquire, attempt and total bound name resolution as well, and a late answer is not used",
        arguments: [
            ServiceError.Code.connectTimeout, .poolAcquireTimeout, .attemptTimeout, .deadlineExceeded,
        ]
    )
    func limits(code: ServiceError.Code) async throws {
        let clock = TestClock()
        try await StalledNames.with(configure: { configuration, options in
            configuration.useOnly(clock)
            switch code {
            case .connectTimeout: configuration.timeouts.connect = .seconds(3)
            case .poolAcquireTimeout: configuration.timeouts.poolAcquire = .seconds(3)
            case .attemptTimeout: configuration.timeouts.attempt = .seconds(3)
            default: configuration.timeouts.total = .seconds(3)
            }
            options.pool.isEnabled = false
        }) { client, transport, names, server in
            let error = try await clock.failure {
                try await client.fetch("/")
            } once: {
                try await names.asked.wait()
            }
            #expect(error.code == code)
            #expect(error.phase == .connecting)
            #expect(error.progress == .neverSent)
            #expect(error.elapsed == .seconds(3))
            try await eventually("the dial to be over") { transport.snapshot().dialling == 0 }
            try await names.answer()
            #expect(transport.openChannels == 0)
            #expect(server.connections.isEmpty)
        }
    }

    @Test("A forced close does not wait for the resolver, and a later answer opens no socket", .tags(.LC8))
    func forced() async throws {
        let clock = TestClock()
        try await StalledNames.with(configure: { configuration, _ in configuration.useOnly(clock) }) {
            client, transport, names, server in
            let task = Task { try await client.fetch("/") }
            try await names.asked.wait()
            // The clock stands still: nothing here takes the second that connections have to close.
            let report = await client.shutdown(within: .zero)
            #expect(report.forced.map(\.phase) == [.connecting])
            let error = try await serviceError { _ = try await task.value }
            #expect(error.code == .forciblyClosed)
            #expect(error.progress == .neverSent)
            try await names.answer()
            #expect(transport.openChannels == 0)
            #expect(server.connections.isEmpty)
        }
    }

    @Test("A name that does not exist fails its request with nameResolutionFailed, and the next request asks again")
    func unknownName() async throws {
        try await StalledNames.with { client, _, names, server in
            server.respond { _ in .reply(200, body: "x") }
            let task = Task { try await client.fetch("/") }
            try await names.asked.wait()
            names.asked.close()
            try await names.fail()
            let error = try await serviceError { _ = try await task.value }
            #expect(error.code == .nameResolutionFailed)
            #expect(error.progress == .neverSent)
            #expect(error.phase == .connecting)
            #expect(error.underlying != nil)
            async let next = client.fetch("/")
            try await names.asked.wait()
            try await names.answer()
            #expect(try await next.text == "x")
        }
    }
}
