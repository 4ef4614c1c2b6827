import Bowline
import BowlineTesting
import NIOCore
import Testing

/// What ends a sleep early. Each sleep here lasts more than ten seconds if nothing ends it.
@Suite("The end of a backoff", .timeLimit(.minutes(1)))
struct BackoffEndTests {
    @Test("A shutdown ends a backoff at once; the caller gets the last response with its body", .tags(.LC5))
    func drainReturnsResponse() async throws {
        try await whileBackingOff({ _ in .reply(503, body: "busy") }) { client, call, decisions in
            let report = await client.shutdown(within: .seconds(30))
            #expect(report.isClean)
            #expect(report.drained == 1)
            let response = try await call.value
            #expect(response.status == .serviceUnavailable)
            #expect(response.attempts == 1)
            #expect(String(buffer: try await response.body.collect(upTo: 100)) == "busy")
            #expect(decisions.all.map(\.verdict) == [.retry(after: .seconds(15))])
        }
    }

    @Test("A body that came in pieces is kept during the sleep, with its trailers", .tags(.LC5))
    func drainReturnsStreamedBody() async throws {
        let text = String(repeating: "0123456789", count: 6000)
        try await whileBackingOff(
            { _ in
                .reply(ScriptedResponse(503, body: text, framing: .chunks(of: 777)))
            },
            { client, call, _ in
                let report = await client.shutdown(within: .seconds(30))
                #expect(report.isClean)
                let response = try await call.value
                #expect(String(buffer: try await response.body.collect(upTo: 1 << 20)) == text)
            })
    }

    @Test("A body that was too slow to be kept fails its reader; it never ends cleanly", .tags(.LC5))
    func drainReturnsHead() async throws {
        try await whileBackingOff(
            { _ in .bytes("HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\nhello").thenStall() },
            { client, call, _ in
                try await eventually("the body to be given up") { client.pool.snapshot().active == 0 }
                async let report = client.shutdown(within: .seconds(30))
                let response = try await call.value
                #expect(response.status == .serviceUnavailable)
                let error = await #expect(throws: ServiceError.self) { try await response.body.collect(upTo: 100) }
                #expect(error?.code == .bodyAlreadyConsumed)
                #expect(await report.isClean)
            })
    }

    @Test("A shutdown ends the backoff after an error; the call fails with that error", .tags(.LC5))
    func drainThrowsError() async throws {
        try await whileBackingOff({ _ in .close }) { client, call, _ in
            let report = await client.shutdown(within: .seconds(30))
            #expect(report.isClean)
            #expect(report.drained == 1)
            let error = try await serviceError { _ = try await call.value }
            #expect(error.code == .connectionClosed)
            #expect(error.attempts == 1)
        }
    }

    @Test("No retry begins while a client drains", .tags(.LC5))
    func noRetryWhileDraining() async throws {
        let gate = Gate()
        let decisions = DecisionRecorder()
        try await withLoopbackServer { server in
            server.respond { _ in .reply(503, body: "busy").held(by: gate) }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.retry.onDecision = decisions.note
            }
            let call = Task { try await client.get("/") }
            try await server.waitForRequests(count: 1)
            async let report = client.shutdown(within: .seconds(30))
            for await progress in client.shutdownProgress where progress.state == .draining { break }
            gate.open()
            #expect(try await call.value.status == .serviceUnavailable)
            #expect(await report.isClean)
            #expect(server.requests.count == 1)
            #expect(decisions.all.map(\.verdict) == [.giveUp(.draining)])
        }
    }

    @Test(
        "A call that is cancelled in a backoff throws CancellationError and leaves nothing behind", .tags(.CA10, .RT18))
    func cancelled() async throws {
        try await whileBackingOff({ _ in .reply(503, body: "busy") }) { client, call, decisions in
            call.cancel()
            await #expect(throws: CancellationError.self) { try await call.value }
            #expect(client.pool.snapshot().active == 0)
            #expect(decisions.all.count == 1)
            let report = await client.shutdown(within: .zero)
            #expect(report.isClean)
            #expect(report.drained == 0)
        }
    }

    @Test("200 sleeps that are cancelled or drained at the same time all end, each once", .tags(.CA10))
    func manyAtOnce() async throws {
        let stub = StubTransport()
        stub.on(.get, "/", always: .respond(.badGateway))
        let client = try ServiceClient(baseURL: "http://stub.invalid", transport: stub) {
            $0.retry.baseDelay = .seconds(20)
            $0.retry.budget = nil
            $0.random = { 0.99 }
        }
        let calls = (0..<200).map { _ in Task { try await client.get("/") } }
        try await stub.waitForCalls(count: 200)
        async let report = client.shutdown(within: .seconds(30))
        for (index, call) in calls.enumerated() where index % 2 == 0 { call.cancel() }
        var returned = 0
        for call in calls {
            switch await call.result {
            case .success(let response): returned += response.status == .badGateway ? 1 : 0
            case .failure(let error): #expect(error is CancellationError)
            }
        }
        #expect(returned >= 100)
        #expect(await report.isClean)
        #expect(stub.calls.count == 200)
    }

    /// Calls a service that answers with `reply`. Runs `body` when the first attempt has failed and a sleep begins, of
    /// 15 s or more.
    private func whileBackingOff(
        _ reply: @escaping @Sendable (RecordedRequest) async throws -> ScriptedReply,
        _ body: (ServiceClient, Task<ServiceResponse, any Error>, DecisionRecorder) async throws -> Void
    ) async throws {
        let decisions = DecisionRecorder()
        try await withLoopbackServer { server in
            server.respond(reply)
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.retry.baseDelay = .seconds(20)
                $0.retry.throttledBaseDelay = .seconds(20)
                $0.retry.onDecision = decisions.note
                $0.random = { 0.75 }
            }
            let began = ContinuousClock.now
            let call = Task { try await client.get("/") }
            try await decisions.willWait.wait()
            try await body(client, call, decisions)
            await client.shutdown(within: .zero)
            #expect(ContinuousClock.now - began < .seconds(10), "the sleep was not waited for")
            #expect(server.requests.count == 1)
        }
    }
}
