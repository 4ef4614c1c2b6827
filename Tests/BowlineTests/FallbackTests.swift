import Bowline
import BowlineTesting
import Logging
import Metrics
import MetricsTestKit
import NIOCore
import Testing

@Suite("The fallback", .timeLimit(.minutes(1)))
struct FallbackTests {
    private let stub = StubTransport()
    private let used = FallbackEvents()

    /// A listener that keeps the errors of the calls that a fallback answered.
    private final class FallbackEvents: ServiceEventListener {
        private let kept = Guarded<[String]>([])

        var texts: [String] { kept.withLock { $0 } }

        func fallbackUsed(_ event: RequestEvent, error: ServiceError) {
            kept.withLock { $0.append("\(event.target) \(event.attempt) \(error.code)") }
        }
    }

    private func client(
        configure: (inout ClientConfiguration) -> Void = { _ in }
    ) throws -> ServiceClient {
        try ServiceClient(baseURL: "http://stub.invalid", transport: stub) {
            $0.retry = .never
            $0.telemetry.events = [used]
            configure(&$0)
        }
    }

    /// A request whose fallback answers with the error's code.
    private func request(_ path: String = "/x") -> ServiceRequest {
        var request = ServiceRequest.get(path)
        request.options.fallback = { error in
            ServiceResponse(
                status: .ok, body: ResponseBody(ByteBuffer(string: "\(error.code) \(error.progress) \(error.attempts)"))
            )
        }
        return request
    }

    @Test("The fallback answers an error, after all retries", .tags(.HG11))
    func afterRetries() async throws {
        stub.on(.get, "/x", always: .fail(.connectionClosed, progress: .ambiguous))
        let client = try client {
            $0.retry = RetryOptions()
            $0.retry.baseDelay = .zero
            $0.retry.maximumAttempts = 3
        }
        let fetched = try await client.fetch(request())
        #expect(fetched.text == "connectionClosed ambiguous 3")
        #expect(fetched.response.requestsSent == 3)
        #expect(fetched.response.url?.path == "/x")
        #expect(stub.calls.count == 3)
        #expect(used.texts == ["/x 3 connectionClosed"])
    }

    @Test("A response is no error, whatever its status: the fallback is not called", .tags(.HG11))
    func responses() async throws {
        stub.on(.get, "/x", always: .respond(.serviceUnavailable, body: "busy"))
        let fetched = try await client().fetch(request())
        #expect(fetched.text == "busy")
        #expect(fetched.response.status == .serviceUnavailable)
        #expect(used.texts.isEmpty)
    }

    @Test(
        "The fallback is outside perCall middleware: it answers the middleware's errors, and its response is not changed",
        .tags(.HG11))
    func outsideMiddleware() async throws {
        struct Refusing: ServiceMiddleware {
            func intercept(
                _ request: ServiceRequest, context: RequestContext, next: Next
            ) async throws -> ServiceResponse {
                throw ServiceError(.invalidRequest, "refused by middleware")
            }
        }
        let client = try client { $0.middleware.perCall = [Refusing()] }
        #expect(try await client.fetch(request()).text == "invalidRequest neverSent 0")
        #expect(stub.calls.isEmpty)
        #expect(used.texts == ["/x 1 invalidRequest"])
    }

    @Test("What the fallback throws replaces the error", .tags(.HG11))
    func throwing() async throws {
        struct Other: Error {}
        stub.on(.get, "/x", always: .fail(.connectionClosed, progress: .ambiguous))
        var request = ServiceRequest.get("/x")
        request.options.fallback = { _ in throw Other() }
        let client = try client()
        await #expect(throws: Other.self) { try await client.send(request) }
        request.options.fallback = { throw $0 }
        let error = try await serviceError { [request] in _ = try await client.send(request) }
        #expect(error.code == .connectionClosed)
        #expect(error.method == .get)
        #expect(used.texts.isEmpty)
        // Both calls are over.
        #expect(await client.shutdown(within: .zero).isClean)
    }

    @Test("A cancellation, and an error of another type, do not reach the fallback", .tags(.HG11))
    func cancelled() async throws {
        let gate = Gate()
        stub.on(.get, "/x", always: .respond(.ok).held(by: gate))
        let client = try client()
        let request = request()
        let task = Task { try await client.fetch(request) }
        try await gate.waitForWaiters()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        struct Foreign: Error {}
        stub.on(.get, "/x") { _ in throw Foreign() }
        await #expect(throws: Foreign.self) { try await client.fetch(request) }
        #expect(used.texts.isEmpty)
    }

    @Test("A request that a shutdown refuses is answered by its fallback; nothing waits for that", .tags(.HG11))
    func shuttingDown() async throws {
        let client = try client()
        #expect(await client.shutdown(within: .zero).isClean)
        let fetched = try await client.fetch(request())
        #expect(fetched.text == "shuttingDown neverSent 0")
        #expect(used.texts == ["/x 1 shuttingDown"])
        #expect(stub.calls.isEmpty)
        let invalid = try await client.fetch(request("http://stub.invalid:99999/x"))
        #expect(invalid.text == "invalidURL neverSent 0")
    }

    @Test("The call is in flight until the body of the fallback's response has ended", .tags(.HG11))
    func inFlight() async throws {
        stub.on(.get, "/x", always: .fail(.connectionClosed, progress: .ambiguous))
        let (stream, hand) = AsyncStream.makeStream(of: ByteBuffer.self)
        var request = ServiceRequest.get("/x")
        request.options.fallback = { _ in ServiceResponse(status: .ok, body: ResponseBody(stream)) }
        let client = try client()
        let response = try await client.send(request)
        async let shutdown = client.shutdown(within: .seconds(10))
        for await progress in client.shutdownProgress where progress.state == .draining {
            #expect(progress.inFlight == 1)
            break
        }
        hand.yield(ByteBuffer(string: "kept"))
        hand.finish()
        #expect(try await response.body.collect(upTo: 100) == ByteBuffer(string: "kept"))
        let report = await shutdown
        #expect(report.isClean)
        #expect(report.drained == 1)
    }

    @Test(
        "A fallback may return the response of another call: the end of its body ends both calls",
        arguments: [true, false])
    func responseOfAnotherCall(isRead: Bool) async throws {
        let backup = try ServiceClient(baseURL: "http://backup.invalid", transport: stub) { $0.retry = .never }
        let client = try client()
        for (number, other) in [backup, client].enumerated() {
            stub.on(.get, "/x", always: .fail(.connectionClosed, progress: .ambiguous))
            stub.on(.get, "/old") { _ in
                let (stream, hand) = AsyncStream.makeStream(of: ByteBuffer.self)
                hand.yield(ByteBuffer(string: "old \(number)"))
                hand.finish()
                return .respond(ServiceResponse(status: .ok, body: ResponseBody(stream)))
            }
            var request = ServiceRequest.get("/x")
            request.options.fallback = { _ in try await other.get("/old") }
            let response = try await client.send(request)
            if isRead {
                #expect(try await response.body.collect(upTo: 100) == ByteBuffer(string: "old \(number)"))
            } else {
                response.body.discard()
            }
        }
        #expect(await backup.shutdown(within: .zero).isClean)
        #expect(await client.shutdown(within: .zero).isClean)
    }

    @Test("A fallback is counted by the error's code and logged; an answered call is not", .tags(.HG12))
    func telemetry() async throws {
        stub.on(.get, "/x", always: .fail(.connectionClosed, progress: .ambiguous))
        stub.on(.get, "/ok", always: .respond(.ok))
        let backend = TestMetrics()
        let lines = LogLines()
        let client = try withMetricsFactory(backend) {
            try self.client { $0.telemetry.logger = lines.logger() }
        }
        for path in ["/x", "/ok", "/x"] { _ = try await client.fetch(request(path)) }
        let counter = try backend.expectCounter(
            "bowline.client.fallbacks",
            [("server.address", "stub.invalid"), ("server.port", "80"), ("error.type", "connectionClosed")])
        #expect(counter.totalValue == 2)
        let told = lines.all.filter { $0.message == "the fallback answers" }
        #expect(told.map(\.level) == [.info, .info])
        #expect(told.map { $0.metadata["error.type"] } == ["connectionClosed", "connectionClosed"])
        await client.shutdown()
    }

    @Test("A request without a fallback gets its error", .tags(.HG11))
    func withoutFallback() async throws {
        stub.on(.get, "/x", always: .fail(.connectionClosed, progress: .ambiguous))
        let client = try client()
        let error = try await serviceError { _ = try await client.get("/x") }
        #expect(error.code == .connectionClosed)
        #expect(used.texts.isEmpty)
    }
}
