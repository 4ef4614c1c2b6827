import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@Suite("Stub transport", .timeLimit(.minutes(1)))
struct StubTransportTests {
    private func send(
        _ request: ServiceRequest, to stub: StubTransport, attempt: Int = 1
    ) async throws -> (Int, String) {
        let response = try await stub.send(request, context: RequestContext(attempt: attempt))
        return (response.status.code, String(buffer: try await response.body.collect(upTo: 1000)))
    }

    private func error(_ request: ServiceRequest, from stub: StubTransport) async -> ServiceError? {
        do {
            _ = try await stub.send(request, context: RequestContext())
            return nil
        } catch {
            return error as? ServiceError
        }
    }

    @Test("answers from its routes and records requests with their bodies")
    func routes() async throws {
        let stub = StubTransport()
        stub.on(.get, "/users/{id}") { .respond(body: $0.path) }
        stub.on(.post, "/users", always: .respond(.created, body: "made"))
        stub.on(nil, "/any?x=1", always: .respond(.accepted))
        stub.on(.get, "https://other.example/users/7", always: .respond(.gone))
        #expect(try await send(.get("users/42?full=1"), to: stub) == (200, "/users/42"))
        #expect(try await send(.post("/users", body: .text("Ada")), to: stub) == (201, "made"))
        #expect(try await send(.delete("any?x=1"), to: stub).0 == 202)
        #expect(try await send(.get("https://other.example:443/users/7?q"), to: stub).0 == 410)
        #expect(stub.calls.map(\.method) == [.get, .post, .delete, .get])
        #expect(stub.calls.map(\.bodyText) == ["", "Ada", "", ""])
        #expect(stub.calls.map(\.query) == ["full=1", nil, "x=1", "q"])
        try stub.verify()
    }

    @Test("fails on a request without a route, and says which")
    func unmatched() async throws {
        let stub = StubTransport()
        stub.on(.get, "/a", always: .respond())
        for request in [ServiceRequest.post("/a"), .get("/a/b"), .get("/b?secret=1")] {
            let error = try #require(await error(request, from: stub))
            #expect(error.code == .noStubbedRoute)
            #expect(error.progress == .neverSent)
            #expect(!error.description.contains("secret"))
        }
        #expect(stub.unmatchedRequests == ["POST /a", "GET /a/b", "GET /b"])
        #expect(stub.unusedRoutes == ["GET /a"])
        #expect {
            try stub.verify()
        } throws: { error in
            let text = (error as? ServiceError)?.message
            return text == "unused routes: GET /a; requests without a route: POST /a, GET /a/b, GET /b"
        }
    }

    @Test("The stub gives answers in order, and fails or repeats the last when they are used up")
    func sequences() async throws {
        let stub = StubTransport()
        stub.on(.get, "/a", inOrder: [.respond(.serviceUnavailable), .respond(.ok)])
        stub.on(.get, "/b", inOrder: [.respond(.serviceUnavailable), .respond(.ok)], repeatsLast: true)
        #expect(try await send(.get("/a"), to: stub).0 == 503)
        #expect(stub.unusedRoutes == ["GET /a (1 of 2 answers)", "GET /b (0 of 2 answers)"])
        #expect(try await send(.get("/a"), to: stub).0 == 200)
        #expect(await error(.get("/a"), from: stub)?.code == .noStubbedRoute)
        for status in [503, 200, 200] { #expect(try await send(.get("/b"), to: stub).0 == status) }
        #expect(stub.unusedRoutes == [])
        #expect(stub.unmatchedRequests == ["GET /a (all answers were given)"])
    }

    @Test("fails with progress, and reads the body only if the request was sent")
    func failures() async throws {
        let stub = StubTransport()
        stub.on(
            .put, "/a",
            inOrder: [
                .fail(.connectionRefused, progress: .neverSent), .fail(.connectionClosed, progress: .ambiguous),
                .respond(),
            ])
        let stream = AsyncStream { continuation in
            continuation.yield(ByteBuffer(string: "once"))
            continuation.finish()
        }
        let request = ServiceRequest.put("/a", body: .stream(stream))
        #expect(await error(request, from: stub)?.progress == .neverSent)
        #expect(await error(request, from: stub)?.code == .connectionClosed)
        #expect(try await send(request, to: stub, attempt: 3).0 == 200)
        #expect(stub.calls.map(\.bodyText) == ["", "once", "once"])
        #expect(stub.calls.map(\.attempt) == [1, 1, 3])
        #expect(!request.body.isReplayable)
    }

    @Test("a request body that throws or lies about its length fails as in a real transport")
    func badBodies() async throws {
        struct Oops: Error {}
        let stub = StubTransport()
        stub.on(.post, "/a", always: .respond())
        let failing = AsyncThrowingStream<ByteBuffer, any Error> { $0.finish(throwing: Oops()) }
        #expect(await error(.post("/a", body: .stream(failing)), from: stub)?.code == .requestBodyFailed)
        let short = AsyncStream<ByteBuffer> { $0.finish() }
        let lying = ServiceRequest.post("/a", body: .stream(short, length: 3))
        #expect(await error(lying, from: stub)?.code == .requestBodyLengthMismatch)
        #expect(stub.calls.count == 2)
    }

    @Test("An answer waits for a gate or a clock, and is cancelled with its caller")
    func delays() async throws {
        let (stub, gate, clock) = (StubTransport(), Gate(), TestClock())
        stub.on(.get, "/gate", always: .respond(body: "g").held(by: gate))
        stub.on(.get, "/clock", always: .respond(body: "c").delayed(by: .seconds(3), on: clock))
        let gated = Task { try await send(.get("/gate"), to: stub) }
        try await gate.waitForWaiters()
        gate.open()
        #expect(try await gated.value == (200, "g"))
        let clocked = Task { try await send(.get("/clock"), to: stub) }
        try await clock.waitForSleepers()
        clock.advanceToNextDeadline()
        #expect(try await clocked.value == (200, "c"))
        let cancelled = Task { try await send(.get("/clock"), to: stub) }
        try await clock.waitForSleepers()
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
    }

    @Test("Closing fails requests in flight and later requests")
    func closing() async throws {
        let (stub, gate) = (StubTransport(), Gate())
        stub.on(.get, "/a", always: .respond().held(by: gate))
        let held = Task { await error(.get("/a"), from: stub) }
        try await stub.waitForCalls(count: 1)
        stub.beginDrain()
        #expect(stub.isDraining)
        await stub.close()
        #expect(await held.value?.code == .forciblyClosed)
        let late = await error(.get("/a"), from: stub)
        #expect(late?.code == .forciblyClosed)
        #expect(late?.progress == .neverSent)
    }

    @Test("of several routes that match, the one added last answers")
    func overriding() async throws {
        let stub = StubTransport()
        stub.on(.get, "/{x}", always: .respond(.notFound))
        stub.on(.get, "/a", always: .respond(.ok))
        #expect(try await send(.get("/a"), to: stub).0 == 200)
        #expect(try await send(.get("/b"), to: stub).0 == 404)
    }
}
