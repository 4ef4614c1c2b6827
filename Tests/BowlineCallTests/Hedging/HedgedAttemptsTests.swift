import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@testable import BowlineCall

@Suite("Hedges over a stub", .timeLimit(.minutes(1)))
struct HedgedAttemptsTests {
    private var harness = HedgingHarness()
    private let first = Gate()
    private let second = Gate()

    /// Two answers, which come when the test opens their gates.
    private func answerTwo(_ one: StubAnswer, _ two: StubAnswer) {
        harness.stub.on(nil, "/x", inOrder: [one.held(by: first), two.held(by: second)])
    }

    private func text(_ task: Task<ServiceResponse, any Error>) async throws -> String {
        String(buffer: try await task.value.body.collect(upTo: 1000))
    }

    private func failure(_ task: Task<ServiceResponse, any Error>) async throws -> ServiceError {
        let error = await #expect(throws: ServiceError.self) { _ = try await task.value }
        return try #require(error)
    }

    private struct Broken: Error {}

    @Test("An error of another type after an answer does not hide that its attempt was sent", .tags(.HG5))
    mutating func foreignErrorAfterAnswer() async throws {
        harness.configure = {
            $0.perAttempt = [
                Intercepting { request, context, next in
                    let response = try await next(request, context: context)
                    guard context.isHedge else { throw Broken() }
                    return response
                }
            ]
        }
        answerTwo(.respond(.ok), .fail(.connectionRefused, progress: .neverSent))
        let task = try await harness.startHedged()
        first.open()
        second.open()
        let error = try await failure(task)
        #expect(error.code == .connectionRefused)
        #expect(error.progress == .ambiguous)
    }

    // MARK: Who wins

    @Test("If the hedge is faster, its response is the response, and the first attempt is cancelled", .tags(.HG1))
    func hedgeWins() async throws {
        answerTwo(.respond(body: "first"), .respond(body: "second"))
        let task = try await harness.startHedged()
        second.open()
        let response = try await task.value
        #expect(try await response.body.collect(upTo: 100) == ByteBuffer(string: "second"))
        #expect(harness.hedges == [false, true])
        #expect(harness.stub.calls.map(\.attempt) == [1, 1])
        #expect(response.attempts == 1)
        #expect(response.requestsSent == 2)
        try await eventually("the first attempt to leave") { first.waitingCount == 0 }
        #expect(!first.isOpen)
        #expect(harness.clock.sleeperCount == 0)
    }

    @Test("If the first attempt is faster after all, the hedge is cancelled", .tags(.HG1))
    func firstWins() async throws {
        answerTwo(.respond(body: "first"), .respond(body: "second"))
        let task = try await harness.startHedged()
        first.open()
        #expect(try await text(task) == "first")
        #expect(harness.hedges == [false, true])
        try await eventually("the hedge to leave") { second.waitingCount == 0 }
        #expect(!second.isOpen)
    }

    @Test("An attempt that ends before the delay gets no hedge, and leaves no timer", .tags(.HG2))
    func fast() async throws {
        harness.stub.on(.get, "/x", always: .respond(body: "fast"))
        let task = try harness.start()
        #expect(try await text(task) == "fast")
        #expect(harness.stub.calls.count == 1)
        #expect(harness.clock.sleeperCount == 0)
    }

    @Test("With two hedges, each begins a delay after the one before it", .tags(.HG1, .HG2))
    mutating func twoHedges() async throws {
        harness.hedging.maximumHedges = 2
        harness.stub.on(
            .get, "/x",
            inOrder: [
                .respond(body: "first").held(by: first), .respond(body: "second").held(by: second),
                .respond(body: "third"),
            ])
        let task = try await harness.startHedged()
        try await harness.clock.waitForSleepers()
        #expect(harness.clock.nextDeadline == at(20))
        harness.clock.advance(by: HedgingHarness.delay)
        #expect(try await text(task) == "third")
        #expect(harness.hedges == [false, true, true])
        #expect(try harness.budgetLeft() == 98)
    }

    @Test("A response of a loser is discarded", .tags(.HG1))
    mutating func loserIsDiscarded() async throws {
        let body = BodyEnd()
        let both = Gate()
        let streamed = ServiceResponse(status: .ok, body: ResponseBody(AsyncStream<ByteBuffer> { _ in }))
        streamed.body.observeEnd(body)
        // The loser ignores its cancellation, and its response comes after the winner's.
        harness.configure = {
            $0.perAttempt = [
                Intercepting { request, context, next in
                    guard !context.isHedge else { return try await next(request, context: context) }
                    _ = try? await next(request, context: context)
                    _ = await Task { try? await both.wait() }.value
                    return streamed
                }
            ]
        }
        answerTwo(.respond(body: "first"), .respond(body: "second"))
        let task = try await harness.startHedged()
        second.open()
        try await eventually("the first attempt to be cancelled") { first.waitingCount == 0 }
        both.open()
        #expect(try await text(task) == "second")
        #expect(body.gate.isOpen)
    }

    // MARK: Failures

    @Test("A retryable response and a failure do not win while the other attempt is in flight", .tags(.HG5))
    func failuresWait() async throws {
        for answer in [StubAnswer.respond(.serviceUnavailable), .fail(.connectionClosed, progress: .ambiguous)] {
            let (first, second) = (Gate(), Gate())
            let harness = HedgingHarness()
            harness.stub.on(
                .get, "/x", inOrder: [answer.held(by: first), .respond(body: "second").held(by: second)])
            let task = try await harness.startHedged()
            first.open()
            try await eventually("the first attempt to end") { first.waitingCount == 0 }
            second.open()
            #expect(try await text(task) == "second")
        }
    }

    @Test("A 404 wins: the retry policy would not retry it", .tags(.HG5))
    func otherStatuses() async throws {
        answerTwo(.respond(.notFound), .respond(body: "second"))
        let task = try await harness.startHedged()
        first.open()
        #expect(try await task.value.status == .notFound)
    }

    @Test(
        "If all attempts fail, a response counts more than a failure, whatever the order", .tags(.HG5),
        arguments: [0, 1])
    func responseCounts(place: Int) async throws {
        let failure = StubAnswer.fail(.connectionClosed, progress: .ambiguous)
        let busy = StubAnswer.respond(.serviceUnavailable, body: "busy")
        answerTwo(place == 0 ? busy : failure, place == 0 ? failure : busy)
        let task = try await harness.startHedged()
        first.open()
        try await eventually("the first attempt to end") { first.waitingCount == 0 }
        second.open()
        let response = try await task.value
        #expect(response.status == .serviceUnavailable)
        #expect(try await response.body.collect(upTo: 100) == ByteBuffer(string: "busy"))
        #expect(response.requestsSent == 2)
    }

    @Test(
        "The error has the furthest progress of all attempts, and counts all requests", .tags(.HG5), arguments: [0, 1])
    func furthestProgress(place: Int) async throws {
        let lost = StubAnswer.fail(.connectionClosed, progress: .ambiguous)
        let unsent = StubAnswer.fail(.connectionRefused, progress: .neverSent)
        answerTwo(place == 0 ? lost : unsent, place == 0 ? unsent : lost)
        let task = try await harness.startHedged()
        first.open()
        try await eventually("the first attempt to end") { first.waitingCount == 0 }
        second.open()
        let error = try await failure(task)
        #expect(error.code == .connectionClosed)
        #expect(error.progress == .ambiguous)
        #expect(error.requestsSent == 2)
    }

    @Test(
        "A kept response gives its connection back: a slow body is discarded while the hedge is in flight", .tags(.HG5))
    func keptBody() async throws {
        let body = BodyEnd()
        answerTwo(
            .respond { _ in
                let response = ServiceResponse(
                    status: .serviceUnavailable, body: ResponseBody(AsyncStream<ByteBuffer> { _ in }))
                response.body.observeEnd(body)
                return .respond(response)
            }, .respond(body: "second"))
        let task = try await harness.startHedged()
        first.open()
        try await harness.clock.waitForSleepers()
        harness.clock.advance(by: .milliseconds(50))
        try await eventually("the body to be given up") { body.gate.isOpen }
        second.open()
        #expect(try await text(task) == "second")
    }

    // MARK: What is never hedged

    @Test("A request that must not be sent twice, or whose body has one reader, sets no timer", .tags(.HG3))
    mutating func neverHedged() async throws {
        let counting = SleepCountingClock(harness.clock)
        harness.configure = { $0.clock = counting }
        let chunks = AsyncStream<ByteBuffer> { $0.finish() }
        let replayable = RequestBody.replayable { chunks }
        let requests = [
            try harness.request(.post), try harness.request(.patch, body: .text("x")),
            try harness.request(.put, body: .stream(chunks)),
            try harness.request(.put, body: replayable.trailers { [:] }),
            try harness.request(.put, body: .text("x")) { $0.onUploadProgress = { _ in } },
            try harness.request { $0.idempotency = .notIdempotent },
            try harness.request { $0.hedging = .unlimited },
        ]
        harness.stub.on(nil, "/x", always: .respond(.ok))
        for request in requests { _ = try await harness.start(request).value }
        #expect(counting.sleeps == 0)
        let hedged = [
            try harness.request(), try harness.request(.put, body: .text("x")),
            try harness.request(.put, body: replayable), try harness.request(.post) { $0.idempotency = .idempotent },
        ]
        for request in hedged { _ = try await harness.start(request).value }
        #expect(counting.sleeps == hedged.count)
        #expect(harness.stub.calls.count == requests.count + hedged.count)
    }

    @Test("A delay that would pass the deadline sets no timer", .tags(.HG7))
    mutating func shortDeadline() async throws {
        harness.stub.on(nil, "/x", always: .respond(.ok))
        for (deadline, sleeps) in [(Duration.milliseconds(10), 0), (.milliseconds(11), 1)] {
            let counting = SleepCountingClock(harness.clock)
            harness.configure = { $0.clock = counting }
            _ = try await harness.start(nil, harness.context(deadline: deadline)).value
            #expect(counting.sleeps == sleeps)
        }
    }

    @Test("A request's own options replace the client's: another delay, or hedges without the client's", .tags(.HG2))
    mutating func ownOptions() async throws {
        var own = HedgingOptions()
        own.delay = .after(.milliseconds(3))
        let request = try harness.request { [own] in $0.hedging = .limited(own) }
        let clock = harness.clock
        answerTwo(.respond(body: "first"), .respond(body: "second"))
        harness.configure = { $0.hedging = nil }
        let task = try harness.start(request)
        try await harness.stub.waitForCalls(count: 1)
        try await clock.waitForSleepers()
        #expect(clock.nextDeadline == at(3))
        clock.advance(by: .milliseconds(3))
        second.open()
        #expect(try await text(task) == "second")
    }

    @Test("A body of bytes, and a replayable one, is sent whole by both attempts", .tags(.HG3))
    func bodies() async throws {
        let replayable = RequestBody.replayable {
            let (stream, hand) = AsyncStream.makeStream(of: ByteBuffer.self)
            hand.yield(ByteBuffer(string: "rope"))
            hand.finish()
            return stream
        }
        for body in [RequestBody.text("rope"), replayable] {
            let harness = HedgingHarness()
            let gate = Gate()
            harness.stub.on(.put, "/x", inOrder: [.respond(.ok).held(by: gate), .respond(.ok)])
            _ = try await harness.startHedged(harness.request(.put, body: body)).value
            #expect(harness.stub.calls.map(\.bodyText) == ["rope", "rope"])
        }
    }

    // MARK: Ends

    @Test("The caller's cancellation cancels all attempts", .tags(.HG7))
    func cancelled() async throws {
        answerTwo(.respond(.ok), .respond(.ok))
        let task = try await harness.startHedged()
        try await first.waitForWaiters()
        try await second.waitForWaiters()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        try await eventually("both attempts to leave") { first.waitingCount + second.waitingCount == 0 }
    }

    @Test("A cancellation is the outcome although the first attempt has failed before", .tags(.HG7))
    func cancelledAfterFailure() async throws {
        answerTwo(.respond(.serviceUnavailable), .respond(.ok))
        let task = try await harness.startHedged()
        first.open()
        try await eventually("the first attempt to end") { first.waitingCount == 0 }
        try await second.waitForWaiters()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test("At the deadline all attempts fail with the deadline's error", .tags(.HG7))
    func deadline() async throws {
        answerTwo(.respond(.ok), .respond(.ok))
        let task = try await harness.startHedged(nil, harness.context(deadline: .milliseconds(25)))
        try await first.waitForWaiters()
        try await second.waitForWaiters()
        harness.clock.advance(by: .milliseconds(15))
        let error = try await failure(task)
        #expect(error.code == .deadlineExceeded)
        #expect(error.progress == .ambiguous)
        #expect(error.requestsSent == 2)
        #expect(error.phase == .awaitingHead)
        #expect(harness.stub.calls.count == 2)
    }

    @Test("A drain starts no hedge; an attempt that is in flight goes on", .tags(.HG6))
    func drain() async throws {
        answerTwo(.respond(body: "first"), .respond(body: "second"))
        let task = try harness.start()
        try await harness.stub.waitForCalls(count: 1)
        try await harness.clock.waitForSleepers()
        let reads = harness.registry.reads
        harness.registry.beginDrain()
        harness.clock.advance(by: HedgingHarness.delay)
        // The round has asked whether the client drains, and has its answer.
        try await eventually("the timer to pass") { harness.registry.reads > reads }
        first.open()
        #expect(try await text(task) == "first")
        #expect(harness.stub.calls.count == 1)
        #expect(try harness.budgetLeft() == 100)
    }

    @Test("During a drain both attempts in flight go on, and the first response wins", .tags(.HG6))
    func drainWithHedge() async throws {
        answerTwo(.respond(body: "first"), .respond(body: "second"))
        let task = try await harness.startHedged()
        harness.registry.beginDrain()
        second.open()
        #expect(try await text(task) == "second")
    }

    @Test("While the attempt waits in middleware before it is sent, no hedge is sent", .tags(.HG2))
    mutating func putOff() async throws {
        let gate = Gate()
        harness.configure = {
            $0.perAttempt = [
                Intercepting { request, context, next in
                    try await gate.wait()
                    return try await next(request, context: context)
                }
            ]
        }
        answerTwo(.respond(body: "first"), .respond(body: "second"))
        let task = try harness.start()
        try await gate.waitForWaiters()
        for round in 1...3 {
            try await harness.clock.waitForSleepers()
            #expect(harness.clock.nextDeadline == at(10 * round))
            harness.clock.advance(by: HedgingHarness.delay)
        }
        try await harness.clock.waitForSleepers()
        #expect(gate.waitingCount == 1)
        #expect(harness.stub.calls.isEmpty)
        gate.open()
        try await harness.passDelay()
        try await harness.stub.waitForCalls(count: 2)
        second.open()
        #expect(try await text(task) == "second")
    }
}
