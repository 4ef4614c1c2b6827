import Bowline
import BowlinePlatform
import BowlineTesting
import BowlineTransport
import NIOCore
import ServiceLifecycle
import ServiceLifecycleTestKit
import Testing

@Suite("The end of a client without shutdown, in a scope, and in a service group", .timeLimit(.minutes(1)))
struct ClientEndTests {
    @Test("When the last value of a client goes away, its unused connections close", .tags(.LC11))
    func lastValueGoes() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            func use() async throws {
                let client = try ServiceClient(baseURL: server.baseURL)
                try await Requests.concurrently(3, client, server)
                #expect(server.openConnectionCount == 3)
            }
            try await use()
            try await server.waitForOpenConnections(count: 0)
            #expect(server.connections.allSatisfy { $0.end == .clientFinished })
        }
    }

    @Test(
        "A connection in use when the last value of its client goes away finishes its response, then closes",
        .tags(.LC11))
    func activeConnectionFinishes() async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.answerInHalves(second: gate)
            func begin() async throws -> ServiceResponse {
                try await ServiceClient(baseURL: server.baseURL).get("/")
            }
            let response = try await begin()
            gate.open()
            #expect(try await response.body.collect(upTo: 100) == ByteBuffer(string: "helloworld"))
            try await server.waitForOpenConnections(count: 0)
        }
    }

    @Test("Nothing leaks: after 1,000 clients were made, used and dropped, as many descriptors are open as before")
    func descriptors() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            try await Self.useAndDrop(10, server)
            try await server.waitForOpenConnections(count: 0)
            let before = Self.openDescriptors()
            try await Self.useAndDrop(1000, server)
            try await server.waitForOpenConnections(count: 0)
            try await eventually("descriptors to return to \(before)") { Self.openDescriptors() <= before }
        }
    }

    private static func useAndDrop(_ count: Int, _ server: LoopbackServer) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    for index in 0..<count / 4 {
                        let client = try ServiceClient(baseURL: server.baseURL)
                        let response = try await client.get("/")
                        if (index + worker) % 2 == 0 { _ = try await response.body.collect(upTo: 10) }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// The number of descriptors that this process has open.
    private static func openDescriptors() -> Int {
        (0..<Int32(4096)).reduce(0) { $0 + (fcntl($1, F_GETFD) >= 0 ? 1 : 0) }
    }

    @Test("A scope drains its client, also when its body throws")
    func scope() async throws {
        struct Stop: Error {}
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200, body: "x") }
            await #expect(throws: Stop.self) {
                try await withServiceClient(server.baseURL) { client in
                    _ = try await client.get("/")
                    throw Stop()
                }
            }
            try await server.waitForOpenConnections(count: 0)
        }
    }

    @Test("run() returns only after a graceful shutdown has drained", .tags(.LC12))
    func serviceGroup() async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: "late").held(by: gate) }
            let client = try ServiceClient(baseURL: server.baseURL)
            try await testGracefulShutdown { trigger in
                async let stateAtReturn =
                    {
                        try await client.run()
                        for await progress in client.shutdownProgress { return progress.state }
                        return .running
                    }() as ShutdownProgress.State
                async let answer = client.get("/").body.collect(upTo: 10)
                try await server.waitForRequests(count: 1)
                trigger.triggerGracefulShutdown()
                try await ShutdownTests.waitUntil(.draining, client)
                gate.open()
                #expect(try await answer == ByteBuffer(string: "late"))
                #expect(try await stateAtReturn == .closed)
            }
            #expect(await client.shutdown().drained == 1)
        }
    }

    @Test("Cancelling run() cuts off the calls in flight", .tags(.LC12))
    func cancelledRun() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .stall }
            let client = try ServiceClient(baseURL: server.baseURL)
            let running = Task { try await client.run() }
            async let failure = Requests.failure { try await client.get("/") }
            try await server.waitForRequests(count: 1)
            running.cancel()
            try await running.value
            let error = await failure as? ServiceError
            #expect(error?.code == .forciblyClosed)
        }
    }

    @Test("run() returns when the client is shut down elsewhere")
    func runAndShutdown() async throws {
        let client = try ServiceClient()
        async let running: Void = client.run()
        await client.shutdown()
        try await running
    }

    @Test("A middleware that throws while the client drains does not stop the drain", .tags(.LC13))
    func throwingMiddleware() async throws {
        struct Thrower: ServiceMiddleware {
            struct Failure: Error {}
            func intercept(
                _ request: ServiceRequest, context: RequestContext, next: Next
            ) async throws -> ServiceResponse {
                _ = try await next(request, context: context)
                throw Failure()
            }
        }
        try await withLoopbackServer { server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: "x").held(by: gate) }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.middleware.perCall = [Thrower()] }
            async let failure = Requests.failure { try await client.get("/") }
            try await server.waitForRequests(count: 1)
            async let report = client.shutdown(within: .seconds(10))
            try await ShutdownTests.waitUntil(.draining, client)
            gate.open()
            let error = await failure
            #expect(error is Thrower.Failure)
            let result = await report
            #expect(result.isClean)
        }
    }
}
