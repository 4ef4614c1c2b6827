import BowlineCall
import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@Suite("Bearer tokens: one fetch for all", .timeLimit(.minutes(1)))
struct BearerTokenTests {
    /// A source whose answers come from the test.
    private final class Source: Sendable {
        private struct State: Sendable {
            var asked = 0
            var given = 0
            var answers: [Int: Result<BearerToken, any Error>] = [:]
            var gates: [Int: Gate] = [:]

            mutating func gate(_ number: Int) -> Gate {
                let gate = gates[number] ?? Gate()
                gates[number] = gate
                return gate
            }
        }

        private let state = Shared(State())
        let cancelled = Gate()

        var asked: Int { state.value.asked }

        func waitUntilAsked(_ count: Int) async throws {
            try await eventually("\(count) fetches") { asked >= count }
        }

        func give(_ token: String, lifetime: Duration? = nil) {
            answer(.success(BearerToken(token, lifetime: lifetime)))
        }

        func fail(_ error: any Error) {
            answer(.failure(error))
        }

        private func answer(_ result: Result<BearerToken, any Error>) {
            let gate = state.change { state in
                state.given += 1
                state.answers[state.given] = result
                return state.gate(state.given)
            }
            gate.open()
        }

        func fetch() async throws -> BearerToken {
            let (number, gate) = state.change { state in
                state.asked += 1
                return (state.asked, state.gate(state.asked))
            }
            do {
                try await gate.wait()
            } catch {
                cancelled.open()
                throw error
            }
            return try (state.value.answers[number] ?? .failure(Broken())).get()
        }
    }

    private struct Broken: Error {}

    private let stub = StubTransport()
    private let clock = TestClock()
    private let source = Source()
    private let road: TestRoad

    init() throws {
        stub.on(nil, "/a", always: .respond(.ok))
        let source = source
        let bearer = BearerAuthentication(leeway: .seconds(30), fetchTimeout: .seconds(20)) {
            try await source.fetch()
        }
        road = Self.road(bearer, clock)
    }

    private static func road(_ bearer: BearerAuthentication, _ clock: any ServiceClock) -> TestRoad {
        TestRoad {
            $0.authenticator = bearer
            $0.clock = clock
        }
    }

    private var tokens: [String] { stub.calls.map { $0.fields[.authorization] ?? "none" } }

    private func send(timeout: Duration? = nil) async throws {
        let deadline = timeout.map { Deadline(clock.now.advanced(by: $0)) }
        _ = try await stub.send(
            .get("http://api.example/a"), along: road,
            context: RequestContext(deadline: deadline, clock: clock))
    }

    @Test("Concurrent requests ask the source once, and all use its token")
    func singleFlight() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<50 { group.addTask { try await send() } }
            try await clock.waitForSleepers(count: 50)
            source.give("t1")
            try await group.waitForAll()
        }
        #expect(source.asked == 1)
        #expect(tokens == Array(repeating: "Bearer t1", count: 50))
        #expect(clock.sleeperCount == 0)
    }

    @Test("Many 401s, early and late, refresh the token once")
    func refreshOnce() async throws {
        source.give("old")
        source.give("new")
        let all = Gate()
        stub.on(nil, "/a") { call in
            guard call.fields[.authorization] == "Bearer old" else { return .respond(.ok) }
            try await all.wait()
            return .respond(.unauthorized)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<30 { group.addTask { try await send() } }
            try await all.waitForWaiters(count: 30)
            clock.advance(by: .seconds(1))
            all.open()
            try await group.waitForAll()
        }
        #expect(source.asked == 2)
        #expect(tokens.count { $0 == "Bearer new" } == 30)
    }

    @Test("A late 401 to an old token keeps the new token: the source is not asked again")
    func lateRefusal() async throws {
        for token in ["old", "new", "one too many"] { source.give(token) }
        let late = Gate()
        let isFirst = Shared(true)
        stub.on(nil, "/a") { call in
            guard call.fields[.authorization] == "Bearer old" else { return .respond(.ok) }
            let isLate = isFirst.change { first in
                defer { first = false }
                return first
            }
            if isLate { try await late.wait() }
            return .respond(.unauthorized)
        }
        async let slow: Void = send()
        try await late.waitForWaiters(count: 1)
        clock.advance(by: .seconds(2))
        try await send()
        clock.advance(by: .seconds(2))
        late.open()
        try await slow
        #expect(source.asked == 2)
        #expect(tokens == ["Bearer old", "Bearer old", "Bearer new", "Bearer new"])
    }

    @Test("Before a token expires, requests use it while one fetch gets the next; after it expires, requests wait")
    func ahead() async throws {
        source.give("t1", lifetime: .seconds(100))
        try await send()
        clock.advance(by: .milliseconds(69_999))
        try await send()
        #expect(source.asked == 1)
        clock.advance(by: .milliseconds(1))
        try await send()
        try await send()
        try await source.waitUntilAsked(2)
        #expect(tokens == Array(repeating: "Bearer t1", count: 4))
        clock.advance(by: .seconds(10))
        source.give("t2", lifetime: .seconds(100))
        try await eventually("the new token") {
            try await send()
            return tokens.last == "Bearer t2"
        }
        #expect(source.asked == 2)
        // The time counts from the call of the source, at 70 s.
        clock.advance(to: MonotonicInstant(nanoseconds: 170_000_000_000))
        async let waiting: Void = send()
        try await source.waitUntilAsked(3)
        source.give("t3")
        try await waiting
        #expect(tokens.last == "Bearer t3")
    }

    @Test("An early fetch that fails disturbs no request, and is retried after a second")
    func aheadFails() async throws {
        source.give("t1", lifetime: .seconds(100))
        try await send()
        clock.advance(by: .seconds(80))
        source.fail(Broken())
        try await send()
        try await source.waitUntilAsked(2)
        // The failed fetch is no longer stored when a request begins another a second later.
        try await eventually("another fetch") {
            clock.advance(by: .milliseconds(500))
            try await send()
            return source.asked == 3 || clock.now > MonotonicInstant(nanoseconds: 99_000_000_000)
        }
        #expect(source.asked == 3)
        #expect(Set(tokens) == ["Bearer t1"])
        source.give("t2")
    }

    @Test("An early fetch that hangs is cancelled after fetchTimeout: the next request begins another")
    func aheadHangs() async throws {
        source.give("t1", lifetime: .seconds(100))
        try await send()
        clock.advance(by: .seconds(70))
        try await send()
        try await source.waitUntilAsked(2)
        clock.advance(by: .milliseconds(19_999))
        try await send()
        #expect(!source.cancelled.isOpen)
        clock.advance(by: .milliseconds(1))
        try await send()
        try await source.waitUntilAsked(3)
        try await source.cancelled.wait()
        source.give("late")
        source.give("t3")
        try await eventually("the new token") {
            try await send()
            return tokens.last == "Bearer t3"
        }
        #expect(source.asked == 3)
        #expect(Set(tokens) == ["Bearer t1", "Bearer t3"])
    }

    @Test("a token shorter than the leeway is not fetched anew for each request")
    func shortLived() async throws {
        source.give("t1", lifetime: .seconds(10))
        try await send()
        clock.advance(by: .milliseconds(4_900))
        for _ in 0..<5 { try await send() }
        #expect(source.asked == 1)
    }

    @Test("A source that throws fails all waiters with authenticationFailed, and the next request asks again")
    func throwing() async throws {
        try await withThrowingTaskGroup(of: ServiceError?.self) { group in
            for _ in 0..<10 { group.addTask { await serviceError { try await send() } } }
            try await clock.waitForSleepers(count: 10)
            source.fail(Broken())
            for try await error in group {
                #expect(error?.code == .authenticationFailed)
                #expect(error?.underlying is Broken)
                #expect(error?.progress == .neverSent)
            }
        }
        #expect(stub.calls.isEmpty)
        source.give("t1")
        try await send()
        #expect(source.asked == 2)
    }

    @Test(
        "A token that is not allowed in a field is refused, and the error does not repeat it",
        arguments: [
            "", "secret\r\nX: 1", "sec ret", "sécret", "\u{7F}secret",
        ])
    func badToken(value: String) async throws {
        source.give(value)
        let error = await serviceError { try await send() }
        #expect(error?.code == .authenticationFailed)
        #expect(error.map { "\($0)".contains("ret") } == false)
        #expect(throws: ServiceError.self) { try BearerAuthentication(token: value) }
        #expect(stub.calls.isEmpty)
    }

    @Test("Cancelling one waiter leaves the others waiting, and they get the token")
    func oneCancelled() async throws {
        let first = Task { try await send() }
        try await clock.waitForSleepers(count: 1)
        let second = Task { try await send() }
        try await clock.waitForSleepers(count: 2)
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        #expect(!source.cancelled.isOpen)
        source.give("t1")
        try await second.value
        #expect(tokens == ["Bearer t1"])
        #expect(source.asked == 1)
    }

    @Test("The fetch is cancelled when the last waiter leaves, and the next request begins another")
    func allCancelled() async throws {
        let first = Task { try await send() }
        try await clock.waitForSleepers(count: 1)
        try await source.waitUntilAsked(1)
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        try await source.cancelled.wait()
        source.give("ignored")
        source.give("t2")
        try await send()
        #expect(tokens == ["Bearer t2"])
    }

    @Test("A source that hangs delays each request no longer than the request's own deadline")
    func hanging() async throws {
        let short = Task { await serviceError { try await send(timeout: .seconds(1)) } }
        let long = Task { await serviceError { try await send(timeout: .seconds(10)) } }
        try await clock.waitForSleepers(count: 2)
        clock.advance(by: .seconds(1))
        #expect(await short.value?.code == .deadlineExceeded)
        source.give("t1")
        #expect(await long.value == nil)
        #expect(tokens == ["Bearer t1"])
    }

    @Test("A source that takes longer than fetchTimeout is abandoned; the next request begins another fetch")
    func fetchTimeout() async throws {
        let waiting = Task { await serviceError { try await send(timeout: .seconds(60)) } }
        try await clock.waitForSleepers(count: 1)
        clock.advance(by: .seconds(20))
        let error = await waiting.value
        #expect(error?.code == .authenticationFailed)
        try await source.cancelled.wait()
        source.give("late")
        source.give("t2")
        try await send()
        #expect(tokens == ["Bearer t2"])
    }

    @Test(
        "An abandoned fetch that ends late does not end the next fetch: the source is asked twice in all",
        arguments: [true, false])
    func lateEnd(isFailure: Bool) async throws {
        let (stub, clock) = (stub, clock)
        let asked = Shared(0)
        let deaf = Shared<CheckedContinuation<Void, Never>?>(nil)
        let (new, isOver) = (Gate(), Gate())
        let bearer = BearerAuthentication(leeway: .seconds(30), fetchTimeout: .seconds(20)) {
            let number = asked.change { count in
                count += 1
                return count
            }
            guard number == 1 else {
                try await new.wait()
                return BearerToken("t\(number)")
            }
            // Ignores its cancellation.
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                deaf.change { $0 = continuation }
            }
            if isFailure { throw LateFailure(end: isOver) }
            return BearerToken("t1")
        }
        let road = Self.road(bearer, clock)
        let send: @Sendable () async throws -> Void = {
            let context = RequestContext(deadline: nil, clock: clock)
            _ = try await stub.send(.get("http://api.example/a"), along: road, context: context)
        }
        let first = Task { await serviceError { try await send() } }
        try await clock.waitForSleepers(count: 1)
        try await eventually("the first fetch") { deaf.value != nil }
        clock.advance(by: .seconds(20))
        #expect(await first.value?.code == .authenticationFailed)
        let second = Task { try await send() }
        try await eventually("the second fetch") { asked.value == 2 }
        try await clock.waitForSleepers(count: 1)
        deaf.change { $0.take() }?.resume()
        // The last reference to the error is released after the store has learned of it. For a token there is no such
        // signal.
        if isFailure { try await isOver.wait() }
        let third = Task { try await send() }
        try await clock.waitForSleepers(count: 2)
        new.open()
        try await second.value
        try await third.value
        #expect(asked.value == 2)
        #expect(tokens == ["Bearer t2", "Bearer t2"])
    }

    /// Opens a gate when its last reference is gone.
    private final class LateFailure: Error {
        private let end: Gate

        init(end: Gate) {
            self.end = end
        }

        deinit {
            end.open()
        }
    }

    @Test("the fetch does not inherit the deadline of the request that began it")
    func noInheritedDeadline() async throws {
        let inherited = Shared<Deadline??>(nil)
        let bearer = BearerAuthentication {
            let current = Deadline.current
            inherited.change { $0 = .some(current) }
            return BearerToken("t")
        }
        let road = Self.road(bearer, clock)
        try await Deadline.with(Deadline(clock.now.advanced(by: .seconds(1)))) {
            _ = try await stub.send(.get("http://api.example/a"), along: road)
        }
        #expect(inherited.value == .some(nil))
    }

    @Test("A source whose own request needs the source's token fails instead of waiting forever")
    func selfWaiting() async throws {
        let stub = stub
        let clock = clock
        let own = Shared<TestRoad?>(nil)
        let bearer = BearerAuthentication {
            let road = try #require(own.value)
            _ = try await stub.send(.get("http://api.example/a"), along: road)
            return BearerToken("t")
        }
        let road = Self.road(bearer, clock)
        own.change { $0 = road }
        let error = await serviceError { try await stub.send(.get("http://api.example/a"), along: road) }
        #expect(error?.code == .authenticationFailed)
        #expect(stub.calls.isEmpty)
    }

    @Test("requests, refusals and cancellations at random: each ends, and no fetch is left")
    func churn() async throws {
        var random = SeededRandom.fromEnvironment()
        let stub = stub
        let seed = random.next()
        let count = Shared(0)
        let refusals = SeededRandom(seed: seed).source()
        let bearer = BearerAuthentication {
            await Task.yield()
            if refusals() < 0.2 { throw Broken() }
            let number = count.change { count in
                count += 1
                return count
            }
            return BearerToken("t\(number)")
        }
        stub.on(nil, "/a") { _ in .respond(refusals() < 0.3 ? .unauthorized : .ok) }
        let road = Self.road(bearer, MonotonicClock())
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<500 {
                let isCancelled = random.nextBool(probability: 0.3)
                let yields = random.next(in: 0..<20)
                group.addTask {
                    let task = Task {
                        _ = try await stub.send(.get("http://api.example/a"), along: road)
                    }
                    for _ in 0..<yields { await Task.yield() }
                    if isCancelled { task.cancel() }
                    do {
                        try await task.value
                    } catch let error as ServiceError {
                        #expect(error.code == .authenticationFailed)
                    } catch {
                        #expect(error is CancellationError)
                        #expect(isCancelled)
                    }
                }
            }
        }
    }
}
