import Bowline
import BowlineTesting
import Synchronization
import Testing

/// The snippets of Docs/WriteAMiddleware.md, and tests of the middleware that they make.
@Suite("Write a middleware", .timeLimit(.minutes(1)))
struct WriteAMiddleware {
    private enum FirstStep {
        struct Courtesy: ServiceMiddleware {
            func intercept(
                _ request: ServiceRequest, context: RequestContext, next: Next
            ) async throws -> ServiceResponse {
                try await next(request, context: context)
            }
        }
    }

    final class Courtesy: ServiceMiddleware {
        static let requestID = HTTPField.Name("X-Request-ID")!
        private let pauseEnd = Mutex(MonotonicInstant(nanoseconds: .min))
        private let makeID: @Sendable () -> String
        private let measured: @Sendable (Duration) -> Void

        init(
            makeID: @escaping @Sendable () -> String = { "\(UInt64.random(in: 0...UInt64.max))" },
            measured: @escaping @Sendable (Duration) -> Void = { _ in }
        ) {
            self.makeID = makeID
            self.measured = measured
        }

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            let end = pauseEnd.withLock { $0 }
            if let deadline = context.deadline, end >= deadline.instant {
                return ServiceResponse(status: .tooManyRequests)
            }
            if end > context.clock.now, try await context.sleep(until: end) == false {
                throw ServiceError(.shuttingDown, "the client shuts down, and the request was not sent")
            }
            var request = request
            if !request.fields.contains(Self.requestID) { request.fields[Self.requestID] = makeID() }
            let start = context.clock.now
            defer { measured(start.duration(to: context.clock.now)) }
            var response = try await next(request, context: context)
            if response.status == .tooManyRequests {
                let bytes = try await response.collect(upTo: 1024)
                response.body = ResponseBody(bytes)  // for the caller
                let seconds = UInt16(String(decoding: bytes.readableBytesView, as: UTF8.self)) ?? 0
                pauseEnd.withLock { $0 = context.clock.now.advanced(by: .seconds(seconds)) }
            } else if response.status == .serviceUnavailable {
                response.body.discard()  // a page for browsers
                throw ServiceError(.init(rawValue: "maintenance"), "out of service", progress: .responseStarted)
            }
            return response
        }
    }

    @Test func namesEachRequest() async throws {
        let next = Next { request, _ in
            ServiceResponse(status: request.fields[Courtesy.requestID] == "1" ? .ok : .badRequest)
        }
        let response = try await Courtesy(makeID: { "1" }).intercept(.get("a"), context: RequestContext(), next: next)
        #expect(response.status == .ok)
    }

    @Test func pausesAsTheServiceAsks() async throws {
        let (stub, clock) = (StubTransport(), TestClock())
        stub.on(.get, "/orders", inOrder: [.respond(.tooManyRequests, body: "20"), .respond(.ok)])
        let client = try ServiceClient(baseURL: "https://api.example.com", transport: stub) {
            $0.clock = clock
            $0.retry = .never
            $0.middleware.perCall = [Courtesy()]
        }
        let busy = try await client.get("orders").text()
        let hurried = try await client.get("orders") { $0.timeouts.total = .seconds(5) }
        #expect(busy == "20")
        #expect(hurried.status == .tooManyRequests)
        #expect(stub.calls.count == 1)
        async let response = client.get("orders")
        try await eventually("the pause") { clock.nextDeadline == clock.now.advanced(by: .seconds(20)) }
        clock.advance(by: .seconds(20))
        #expect(try await response.status == .ok)
    }

    private func client(_ stub: StubTransport, _ middleware: any ServiceMiddleware) throws -> ServiceClient {
        try ServiceClient(baseURL: "https://api.example.com", transport: stub) {
            $0.retry = .never
            $0.middleware.perCall = [middleware]
        }
    }

    @Test("The first step changes nothing") func passesOn() async throws {
        let stub = StubTransport()
        stub.on(.get, "/orders", always: .respond(.ok, body: "[]"))
        let response = try await client(stub, FirstStep.Courtesy()).get("orders")
        let text = try await response.text()
        #expect(response.status == .ok)
        #expect(text == "[]")
    }

    @Test(
        "The caller's id wins; the time is that of the client's clock, also for a failure")
    func measures() async throws {
        let clock = TestClock()
        let (times, hand) = AsyncStream.makeStream(of: Duration.self)
        let next = Next { request, _ in
            clock.advance(by: .seconds(3))
            throw ServiceError(
                .connectionClosed, request.fields[Courtesy.requestID] ?? "no id", progress: .ambiguous)
        }
        let courtesy = Courtesy(measured: { hand.yield($0) })
        var request = ServiceRequest.get("orders")
        request.fields[Courtesy.requestID] = "mine"
        let context = RequestContext(clock: clock)
        do {
            _ = try await courtesy.intercept(request, context: context, next: next)
            Issue.record("the failure was not passed on")
        } catch let error as ServiceError {
            #expect(error.code == .connectionClosed)
            #expect(error.message == "mine")
        }
        hand.finish()
        var measured: [Duration] = []
        for await time in times { measured.append(time) }
        #expect(measured == [.seconds(3)])
    }

    @Test("A maintenance page is an error") func maintenance() async throws {
        let stub = StubTransport()
        stub.on(.get, "/orders", always: .respond(.serviceUnavailable, body: "<html>"))
        let error = await #expect(throws: ServiceError.self) { try await client(stub, Courtesy()).get("orders") }
        #expect(error?.code == ServiceError.Code(rawValue: "maintenance"))
        #expect(stub.calls.count == 1)
    }

    @Test("A shutdown ends the pause") func shutdown() async throws {
        let (stub, clock) = (StubTransport(), TestClock())
        stub.on(.get, "/orders", always: .respond(.tooManyRequests, body: "20"))
        let client = try ServiceClient(baseURL: "https://api.example.com", transport: stub) {
            $0.clock = clock
            $0.retry = .never
            $0.middleware.perCall = [Courtesy()]
        }
        _ = try await client.get("orders")
        let waiting = Task { try await client.get("orders") }
        let end = clock.now.advanced(by: .seconds(20))
        try await eventually("the pause") { clock.nextDeadline == end }
        await client.shutdown()
        let error = await #expect(throws: ServiceError.self) { try await waiting.value }
        #expect(error?.code == .shuttingDown)
        #expect(stub.calls.count == 1)
    }
}
