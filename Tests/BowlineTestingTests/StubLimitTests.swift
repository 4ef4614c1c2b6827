import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@Suite("Limits of the stub transport", .timeLimit(.minutes(1)))
struct StubLimitTests {
    private let clock = TestClock()
    private let stub = StubTransport()

    /// Returns a context with only these limits.
    private func context(
        deadline: Duration? = nil, attempt: Int = 1, _ configure: (inout Timeouts) -> Void = { _ in }
    ) -> RequestContext {
        var timeouts = Timeouts()
        timeouts.responseHead = nil
        timeouts.bodyIdle = nil
        configure(&timeouts)
        return RequestContext(
            deadline: deadline.map { Deadline(clock.now.advanced(by: $0)) }, attempt: attempt, timeouts: timeouts,
            clock: clock)
    }

    private func failure(_ call: Task<ServiceResponse, any Error>) async throws -> ServiceError {
        do {
            let response = try await call.value
            throw ServiceError(.stubMismatch, "no failure, but \(response)")
        } catch let error as ServiceError {
            return error
        }
    }

    private func send(
        _ context: RequestContext, _ request: ServiceRequest = .get("/a")
    ) -> Task<ServiceResponse, any Error> {
        Task { [stub] in try await stub.send(request, context: context) }
    }

    // MARK: The response's head

    @Test("A held answer ends at the request's deadline, as over a connection, and leaves no sleeper on the clock")
    func deadline() async throws {
        stub.on(.get, "/a", always: .respond().held(by: Gate()))
        let call = send(context(deadline: .seconds(5), attempt: 2))
        try await clock.waitForSleepers(count: 1)
        #expect(clock.nextDeadline == MonotonicInstant(nanoseconds: 5_000_000_000))
        clock.advance(by: .seconds(5))
        let error = try await failure(call)
        #expect(error.code == .deadlineExceeded)
        #expect(error.message == "the request's deadline has passed")
        #expect(error.progress == .ambiguous)
        #expect(error.phase == .awaitingHead)
        #expect(error.attempts == 2)
        #expect(error.origin == "http://stub.invalid:80")
        #expect(error.elapsed == .seconds(5))
        #expect(clock.sleeperCount == 0)
        #expect(stub.calls.count == 1)
    }

    static let heads: [(attempt: Int?, head: Int?, deadline: Int?, code: ServiceError.Code, message: String)] = [
        (3, nil, nil, .attemptTimeout, "no response head came within timeouts.attempt"),
        (3, nil, 9, .attemptTimeout, "no response head came within timeouts.attempt"),
        (9, nil, 3, .deadlineExceeded, "the request's deadline has passed"),
        (nil, 3, nil, .responseHeadTimeout, "no response head came within timeouts.responseHead"),
        (9, 3, 9, .responseHeadTimeout, "no response head came within timeouts.responseHead"),
        (3, 9, nil, .attemptTimeout, "no response head came within timeouts.attempt"),
        (3, 3, nil, .attemptTimeout, "no response head came within timeouts.attempt"),
    ]

    @Test("The earliest limit ends the wait for a head, with its own message", arguments: heads)
    func earliest(
        limits: (attempt: Int?, head: Int?, deadline: Int?, code: ServiceError.Code, message: String)
    ) async throws {
        stub.on(.get, "/a", always: .respond().held(by: Gate()))
        let context = self.context(deadline: limits.deadline.map { Duration.seconds($0) }) {
            $0.attempt = limits.attempt.map { Duration.seconds($0) }
            $0.responseHead = limits.head.map { Duration.seconds($0) }
        }
        let call = send(context)
        try await clock.waitForSleepers(count: 1)
        clock.advance(by: .milliseconds(2999))
        #expect(clock.sleeperCount == 1)
        clock.advance(by: .milliseconds(1))
        let error = try await failure(call)
        #expect(error.code == limits.code)
        #expect(error.message == limits.message)
        #expect(error.progress == .ambiguous)
        #expect(error.phase == .awaitingHead)
    }

    @Test("a deadline that has passed before the request fails it before it is sent")
    func passedBefore() async throws {
        stub.on(.get, "/a", always: .respond())
        let error = try await failure(send(context(deadline: .zero)))
        #expect(error.code == .deadlineExceeded)
        #expect(error.progress == .neverSent)
        #expect(error.phase == .pipeline)
        #expect(stub.calls.isEmpty)
    }

    @Test("Immediate answers do not sleep on a clock")
    func readyAtOnce() async throws {
        let context = self.context(deadline: .seconds(5)) { $0.responseHead = .seconds(3) }
        stub.on(.get, "/a", always: .respond(.created, body: "x"))
        stub.on(.get, "/b", always: .respond(ServiceResponse(status: .accepted)))
        stub.on(.get, "/c", always: .fail(.connectionClosed, progress: .ambiguous))
        let open = Gate(isOpen: true)
        stub.on(.get, "/d", always: .respond(.noContent).held(by: open))
        #expect(try await stub.send(.get("/a"), context: context).status == .created)
        #expect(try await stub.send(.get("/b"), context: context).status == .accepted)
        #expect(try await failure(send(context, .get("/c"))).code == .connectionClosed)
        #expect(try await stub.send(.get("/d"), context: context).status == .noContent)
        #expect(clock.sleeperCount == 0)
    }

    @Test("A delayed answer and a limit on one clock have one sleeper, for the earlier instant", arguments: [3, 5, 9])
    func delayed(pause: Int) async throws {
        stub.on(.get, "/a", always: .respond(body: "late").delayed(by: .seconds(pause), on: clock))
        let call = send(context(deadline: .seconds(5)))
        try await clock.waitForSleepers(count: 1)
        #expect(clock.sleeperCount == 1)
        #expect(clock.advanceToNextDeadline() == MonotonicInstant(nanoseconds: Int64(min(pause, 5)) * 1_000_000_000))
        if pause < 5 {
            #expect(try await call.value.status == .ok)
        } else {
            #expect(try await failure(call).code == .deadlineExceeded)
        }
        #expect(clock.sleeperCount == 0)
    }

    @Test("an answer delayed on another clock is bounded too")
    func otherClock() async throws {
        let other = TestClock()
        stub.on(.get, "/a", always: .respond().delayed(by: .seconds(1), on: other))
        let call = send(context { $0.attempt = .seconds(2) })
        try await other.waitForSleepers()
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(2))
        #expect(try await failure(call).code == .attemptTimeout)
        try await eventually("the answer's sleep to be cancelled") { other.sleeperCount == 0 }
    }

    @Test(
        "A closure that is too late is cancelled; a closure that ignores cancellation does not delay the caller",
        arguments: [true, false])
    func closures(isHeeding: Bool) async throws {
        let (gate, entered, cancelled) = (Gate(), Gate(), Gate())
        stub.on(.get, "/a") { _ in
            entered.open()
            if isHeeding {
                defer { cancelled.open() }
                try await gate.wait()
            } else {
                // Waits for the gate even if its task is cancelled.
                _ = await Task.detached { try? await gate.wait() }.value
            }
            return .respond(.ok)
        }
        let call = send(context { $0.responseHead = .seconds(2) })
        try await entered.wait()
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(2))
        #expect(try await failure(call).code == .responseHeadTimeout)
        if isHeeding { try await cancelled.wait() }
        #expect(clock.sleeperCount == 0)
        gate.open()
    }

    @Test("A closure that moves the clock past a limit exceeds the limit")
    func movedClock() async throws {
        stub.on(.get, "/a") { [clock] call in
            clock.advance(by: call.attempt == 1 ? .seconds(1) : .seconds(2))
            return .respond(.ok)
        }
        let inTime = try await stub.send(.get("/a"), context: context { $0.attempt = .seconds(2) })
        #expect(inTime.status == .ok)
        #expect(try await failure(send(context(attempt: 2) { $0.attempt = .seconds(2) })).code == .attemptTimeout)
        #expect(clock.sleeperCount == 0)
    }

    @Test("A closure can return any answer and throw any error")
    func values() async throws {
        struct Odd: Error {}
        let gate = Gate()
        stub.on(.post, "/a") { call in
            guard call.bodyText != "throw" else { throw Odd() }
            if call.bodyText == "fail" { return .fail(.connectionClosed, progress: .ambiguous) }
            let answer = StubAnswer.respond(.accepted, body: call.bodyText)
            return call.bodyText == "hold" ? answer.held(by: gate) : answer
        }
        await #expect(throws: Odd.self) { try await stub.send(.post("/a", body: .text("throw")), context: context()) }
        #expect(try await failure(send(context(), .post("/a", body: .text("fail")))).code == .connectionClosed)
        let plain = try await stub.send(.post("/a", body: .text("plain")), context: context())
        #expect(try await plain.text() == "plain")
        #expect(plain.status == .accepted)
        let held = send(context(deadline: .seconds(3)), .post("/a", body: .text("hold")))
        try await gate.waitForWaiters()
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(3))
        #expect(try await failure(held).code == .deadlineExceeded)
    }

    @Test("The delay of a failure that leaves the request unsent counts as time for connecting")
    func connecting() async throws {
        stub.on(.get, "/a", always: .fail(.connectionRefused, progress: .neverSent).delayed(by: .seconds(9), on: clock))
        let call = send(context(deadline: .seconds(5)) { $0.responseHead = .seconds(1) })
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(5))
        let error = try await failure(call)
        #expect(error.code == .deadlineExceeded)
        #expect(error.progress == .neverSent)
        #expect(error.phase == .connecting)
    }

    // MARK: Bodies

    @Test("The attempt's limit ends a wait for a request body; responseHead counts from the body's end")
    func requestBody() async throws {
        let (chunks, feed) = AsyncStream.makeStream(of: ByteBuffer.self)
        stub.on(.post, "/a", always: .respond().held(by: Gate()))
        let context = self.context {
            $0.attempt = .seconds(10)
            $0.responseHead = .seconds(2)
        }
        let call = send(context, .post("/a", body: .stream(chunks)))
        try await clock.waitForSleepers()
        #expect(clock.nextDeadline == MonotonicInstant(nanoseconds: 10_000_000_000))
        clock.advance(by: .seconds(5))
        feed.yield(ByteBuffer(string: "all"))
        feed.finish()
        let headLimit = MonotonicInstant(nanoseconds: 7_000_000_000)
        try await eventually("the wait for the head") { clock.nextDeadline == headLimit }
        clock.advance(to: headLimit)
        #expect(try await failure(call).code == .responseHeadTimeout)
        #expect(stub.calls.map(\.bodyText) == ["all"])

        let (never, end) = AsyncStream.makeStream(of: ByteBuffer.self)
        let stuck = send(self.context { $0.attempt = .seconds(10) }, .post("/a", body: .stream(never)))
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(10))
        let error = try await failure(stuck)
        #expect(error.code == .attemptTimeout)
        #expect(error.progress == .ambiguous)
        #expect(error.phase == .sending)
        end.finish()
    }

    @Test(
        "Each chunk of a response's body may take bodyIdle; the deadline ends the whole body", arguments: [true, false])
    func responseBody(isIdle: Bool) async throws {
        let (chunks, feed) = AsyncStream.makeStream(of: ByteBuffer.self)
        stub.on(.get, "/a", always: .respond(ServiceResponse(status: .ok, body: ResponseBody(chunks))))
        let context = self.context(deadline: .seconds(10)) {
            // This limit ends with the head.
            $0.attempt = .seconds(1)
            $0.bodyIdle = isIdle ? .seconds(4) : nil
        }
        let response = try await stub.send(.get("/a"), context: context)
        var iterator = response.body.makeAsyncIterator()
        for text in ["one", "two"] {
            clock.advance(by: .seconds(2))
            feed.yield(ByteBuffer(string: text))
            #expect(try await iterator.next() == ByteBuffer(string: text))
        }
        #expect(clock.sleeperCount == 0)
        let rest = Task { try await response.body.source?.next() }
        try await clock.waitForSleepers(count: 1)
        clock.advanceToNextDeadline()
        do {
            _ = try await rest.value
            Issue.record("the body does not end")
        } catch let error as ServiceError {
            #expect(error.code == (isIdle ? .bodyIdleTimeout : .deadlineExceeded))
            #expect(
                error.message
                    == (isIdle
                        ? "no byte of the response body came for timeouts.bodyIdle"
                        : "the request's deadline has passed"))
            #expect(error.progress == .responseStarted)
            #expect(error.phase == .receivingBody)
            #expect(error.elapsed == (isIdle ? .seconds(8) : .seconds(10)))
        }
        // The body stays failed, and its source is abandoned.
        await #expect(throws: ServiceError.self) { try await iterator.next() }
        #expect(clock.sleeperCount == 0)
    }

    @Test("Cancelling ends an answer and a body at once, even if they ignore cancellation")
    func cancellation() async throws {
        stub.on(.get, "/a", always: .respond().held(by: Gate()))
        let call = send(context(deadline: .seconds(5)))
        try await clock.waitForSleepers()
        call.cancel()
        await #expect(throws: CancellationError.self) { try await call.value }
        let chunks = AsyncStream<ByteBuffer> { _ in }
        stub.on(.get, "/b", always: .respond(ServiceResponse(status: .ok, body: ResponseBody(chunks))))
        let response = try await stub.send(.get("/b"), context: context(deadline: .seconds(5)))
        let reading = Task { try await response.body.collect(upTo: 10) }
        try await clock.waitForSleepers()
        reading.cancel()
        await #expect(throws: CancellationError.self) { try await reading.value }
        #expect(clock.sleeperCount == 0)
    }

    // MARK: A middleware by itself

    /// Waits a second and sends the request once more, if the service is unavailable.
    private struct Patient: ServiceMiddleware {
        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            let response = try await next(request, context: context)
            guard response.status == .serviceUnavailable, try await context.sleep(for: .seconds(1)) else {
                return response
            }
            return try await next(request, context: context)
        }
    }

    @Test("A test runs middleware with a closure as the next step and with its own clock")
    func middlewareAlone() async throws {
        let (urls, hand) = AsyncStream.makeStream(of: String.self)
        let isBusy = Gate(isOpen: true)
        let next = Next { request, context in
            hand.yield("\(request.reference) at \(context.clock.now.nanoseconds / 1_000_000)")
            return ServiceResponse(status: isBusy.isOpen ? .serviceUnavailable : .ok)
        }
        let context = RequestContext(clock: clock)
        async let response = Patient().intercept(.get("/orders"), context: context, next: next)
        try await clock.waitForSleepers(count: 1)
        isBusy.close()
        clock.advance(by: .milliseconds(999))
        #expect(clock.sleeperCount == 1)
        clock.advance(by: .milliseconds(1))
        #expect(try await response.status == .ok)
        hand.finish()
        var seen: [String] = []
        for await url in urls { seen.append(url) }
        #expect(seen == ["/orders at 0", "/orders at 1000"])
    }

    @Test("A closure at the end of a pipeline fails like a transport, and its sleep ends with the task")
    func closureAsTransport() async throws {
        let next = Next { _, _ in throw ServiceError(.connectionClosed, "closed", progress: .ambiguous) }
        await #expect(throws: ServiceError.self) {
            try await Patient().intercept(.get("/a"), context: RequestContext(clock: clock), next: next)
        }
        let busy = Next { _, _ in ServiceResponse(status: .serviceUnavailable) }
        let waiting = Task { [clock] in
            try await Patient().intercept(.get("/a"), context: RequestContext(clock: clock), next: busy)
        }
        try await clock.waitForSleepers()
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        #expect(clock.sleeperCount == 0)
    }
}
