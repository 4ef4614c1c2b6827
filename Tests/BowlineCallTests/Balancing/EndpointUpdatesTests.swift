import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("Balancing over a sequence of lists", .timeLimit(.minutes(1)))
struct EndpointUpdatesTests {
    private struct Broken: Error {}

    /// A sequence that the test feeds, and a client that balances over it.
    private struct Fed {
        let lists: AsyncThrowingStream<[ServiceEndpoint], any Error>.Continuation
        let harness: BalancingHarness
        let pipeline: Next
        /// Opens when the client stops reading.
        let stopped = Gate()

        init() throws {
            let (stream, lists) = AsyncThrowingStream<[ServiceEndpoint], any Error>.makeStream()
            self.lists = lists
            harness = try BalancingHarness(.updates(EndpointUpdates(stream)))
            pipeline = try harness.pipeline()
            harness.stub.on(.get, "/users", always: .respond())
            lists.onTermination = { [stopped] _ in stopped.open() }
        }

        func give(_ urls: String...) { lists.yield(urls.map { ServiceEndpoint($0) }) }

        func get(deadline: Duration? = nil) async throws -> ServiceResponse {
            try await harness.get(through: pipeline, context: harness.context(deadline: deadline))
        }

        func waitForChanges(_ count: Int) async throws {
            try await eventually("\(count) changes") { harness.recorded.all.count >= count }
        }
    }

    @Test("The sequence is read from the first request on; each list replaces the one before", .tags(.BA8))
    func updates() async throws {
        let fed = try Fed()
        fed.give("http://a.example")
        #expect(fed.harness.recorded.all == [])
        _ = try await fed.get()
        fed.give("http://b.example", "http://c.example")
        try await fed.waitForChanges(2)
        for _ in 0..<20 { _ = try await fed.get() }
        let hosts = fed.harness.stub.calls.compactMap { $0.request.origin?.host }
        #expect(hosts.first == "a.example")
        #expect(Set(hosts.dropFirst()) == ["b.example", "c.example"])
        #expect(fed.harness.recorded.all == ["api.example: updated 1", "api.example: updated 2"])
    }

    @Test("Attempts wait for the first list", .tags(.BA9))
    func waitsForFirst() async throws {
        let fed = try Fed()
        async let response = fed.get()
        try await fed.harness.clock.waitForSleepers()
        #expect(fed.harness.sent == [])
        fed.give("http://a.example")
        let status = try await response.status
        #expect(status == .ok)
        #expect(fed.harness.sent == ["http://a.example/users"])
    }

    @Test(
        "An empty list makes attempts wait for timeouts.poolAcquire; then they fail with noEndpoint, never sent",
        .tags(.BA9))
    func empty() async throws {
        let fed = try Fed()
        fed.give("http://a.example")
        _ = try await fed.get()
        fed.give()
        try await fed.waitForChanges(2)
        let task = Task { try await fed.get() }
        try await fed.harness.clock.waitForSleepers()
        fed.harness.clock.advance(by: .milliseconds(9999))
        #expect(fed.harness.clock.sleeperCount == 1)
        fed.harness.clock.advance(by: .milliseconds(1))
        let error = await serviceError { try await task.value }
        #expect(error?.code == .noEndpoint)
        #expect(error?.progress == .neverSent)
        #expect(error?.attempts == 1)
        #expect(error?.requestsSent == 0)
        #expect(error?.origin == "https://api.example:443")
        #expect(fed.harness.sent.count == 1)
    }

    @Test("noEndpoint is not retried: the attempt has waited already", .tags(.BA9))
    func notRetried() async throws {
        let fed = try Fed()
        let pipeline = try fed.harness.pipeline { $0.retry.maximumAttempts = 3 }
        let task = Task { try await fed.harness.get(through: pipeline) }
        try await fed.harness.clock.waitForSleepers()
        fed.harness.clock.advance(by: .seconds(10))
        let error = await serviceError { try await task.value }
        #expect(error?.code == .noEndpoint)
        #expect(error?.attempts == 1)
    }

    @Test("After attempts that were sent, noEndpoint says how many requests the call has sent")
    func afterAttempts() async throws {
        let fed = try Fed()
        fed.give("http://a.example")
        fed.harness.stub.on(.get, "/users") { _ in
            fed.give()
            try await fed.waitForChanges(2)
            return .respond(.serviceUnavailable)
        }
        let error = await serviceError { try await fed.harness.getRetrying() }
        #expect(error?.code == .noEndpoint)
        #expect(error?.attempts == 2)
        #expect(error?.requestsSent == 1)
        #expect(error?.progress == .responseStarted)
        #expect(fed.harness.sent == ["http://a.example/users"])
    }

    @Test("The call's deadline ends the wait for an endpoint", .tags(.BA9))
    func deadline() async throws {
        let fed = try Fed()
        let task = Task { try await fed.get(deadline: .seconds(2)) }
        try await fed.harness.clock.waitForSleepers()
        fed.harness.clock.advance(by: .seconds(2))
        let error = await serviceError { try await task.value }
        #expect(error?.code == .deadlineExceeded)
        #expect(error?.progress == .neverSent)
    }

    @Test("Cancelling a call ends its wait for an endpoint", .tags(.BA9))
    func cancellation() async throws {
        let fed = try Fed()
        let task = Task { try await fed.get() }
        try await fed.harness.clock.waitForSleepers()
        task.cancel()
        let result = await task.result
        #expect(throws: CancellationError.self) { try result.get() }
    }

    @Test("A list in which every weight is 0 is like an empty list, and is reported", .tags(.BA9))
    func weightsZero() async throws {
        let fed = try Fed()
        fed.lists.yield([ServiceEndpoint("http://a.example", weight: 0)])
        let task = Task { try await fed.get() }
        try await fed.waitForChanges(2)
        try await fed.harness.clock.waitForSleepers()
        fed.give("http://b.example")
        let status = try await task.value.status
        #expect(status == .ok)
        #expect(fed.harness.sent == ["http://b.example/users"])
        #expect(
            fed.harness.recorded.all == [
                "api.example: updated 1", "api.example: ignored endpoints has no entry with a weight above 0",
                "api.example: updated 1",
            ])
    }

    @Test("When the sequence ends, the last list stays, and an event says so", .tags(.BA8))
    func ends() async throws {
        let fed = try Fed()
        fed.give("http://a.example")
        _ = try await fed.get()
        fed.lists.finish()
        try await fed.waitForChanges(2)
        _ = try await fed.get()
        #expect(fed.harness.sent == ["http://a.example/users", "http://a.example/users"])
        #expect(fed.harness.recorded.all == ["api.example: updated 1", "api.example: ended"])
    }

    @Test("When the sequence throws, the last list stays, and an event says so", .tags(.BA8))
    func throwing() async throws {
        let fed = try Fed()
        fed.give("http://a.example")
        _ = try await fed.get()
        fed.lists.finish(throwing: Broken())
        try await fed.waitForChanges(2)
        _ = try await fed.get()
        #expect(fed.harness.sent.count == 2)
        #expect(fed.harness.recorded.all == ["api.example: updated 1", "api.example: failed Broken"])
    }

    @Test("If the sequence has ended without an endpoint, attempts fail at once, also those that wait", .tags(.BA9))
    func endsEmpty() async throws {
        let fed = try Fed()
        let waiting = Task { try await fed.get() }
        try await fed.harness.clock.waitForSleepers()
        fed.lists.finish()
        let error = await serviceError { try await waiting.value }
        #expect(error?.code == .noEndpoint)
        let next = await serviceError { try await fed.get() }
        #expect(next?.code == .noEndpoint)
        #expect(next?.progress == .neverSent)
    }

    @Test("Entries that are not valid are ignored; the event names the place and never the value", .tags(.BA10))
    func invalid() async throws {
        let fed = try Fed()
        fed.lists.yield([
            ServiceEndpoint("http://a.example"), ServiceEndpoint("ftp://secret.example"),
            ServiceEndpoint("http://user:secret@b.example"), ServiceEndpoint("http://c.example", weight: -1),
            ServiceEndpoint("http://d.example", weight: 1_000_001), ServiceEndpoint("http://A.example:80/"),
            ServiceEndpoint(""),
        ])
        for _ in 0..<5 { _ = try await fed.get() }
        #expect(Set(fed.harness.sent) == ["http://a.example/users"])
        try await fed.waitForChanges(7)
        #expect(
            fed.harness.recorded.all == [
                "api.example: updated 1",
                "api.example: ignored endpoints[1].url is not an absolute http or https URL",
                "api.example: ignored endpoints[2].url is not an absolute http or https URL",
                "api.example: ignored endpoints[3].weight is not 0 to 1000000",
                "api.example: ignored endpoints[4].weight is not 0 to 1000000",
                "api.example: ignored endpoints[5].url is the URL of an earlier entry",
                "api.example: ignored endpoints[6].url is not an absolute http or https URL",
            ])
    }

    @Test("Endpoints that stay in the list keep their state", .tags(.BA8))
    func stateStays() async throws {
        let fed = try Fed()
        fed.harness.stub.on(.get, "http://a.example/users", always: .respond(.internalServerError))
        fed.give("http://a.example", "http://b.example")
        while fed.harness.recorded.all.count < 2 { _ = try await fed.get() }
        fed.give("http://c.example", "http://a.example", "http://b.example")
        try await fed.waitForChanges(3)
        let endpoints = fed.harness.balancers.snapshot().first?.endpoints ?? []
        #expect(endpoints.map { $0.ejectedFor != nil } == [false, true, false])
        let before = fed.harness.sent.count
        for _ in 0..<20 { _ = try await fed.get() }
        #expect(!fed.harness.sent.dropFirst(before).contains("http://a.example/users"))
    }

    @Test("A closed client stops reading; the last list stays", .tags(.BA11))
    func closed() async throws {
        let fed = try Fed()
        fed.give("http://a.example")
        _ = try await fed.get()
        fed.harness.balancers.close()
        try await fed.stopped.wait()
        fed.give("http://b.example")
        _ = try await fed.get()
        #expect(Set(fed.harness.sent) == ["http://a.example/users"])
        #expect(fed.harness.recorded.all == ["api.example: updated 1"])
    }

    @Test("A client that is closed before its first request does not begin to read", .tags(.BA11))
    func closedBefore() async throws {
        let fed = try Fed()
        fed.give("http://a.example")
        fed.harness.balancers.close()
        let task = Task { try await fed.get() }
        try await fed.harness.clock.waitForSleepers()
        fed.harness.clock.advance(by: .seconds(10))
        let error = await serviceError { try await task.value }
        #expect(error?.code == .noEndpoint)
        #expect(fed.harness.recorded.all == [])
    }

    @Test("A second client cannot read the same sequence: it gets no endpoint, and the first goes on")
    func readTwice() async throws {
        let (stream, lists) = AsyncStream<[ServiceEndpoint]>.makeStream()
        let updates = EndpointUpdates(stream)
        let (first, second) = (try BalancingHarness(.updates(updates)), try BalancingHarness(.updates(updates)))
        first.stub.on(.get, "/users", always: .respond())
        lists.yield([ServiceEndpoint("http://a.example")])
        _ = try await first.get()
        let error = await serviceError { try await second.get() }
        #expect(error?.code == .noEndpoint)
        #expect(second.recorded.all == ["api.example: failed AlreadyRead"])
        lists.yield([ServiceEndpoint("http://b.example")])
        try await eventually("the second list") { first.recorded.all.count == 2 }
        _ = try await first.get()
        #expect(first.sent == ["http://a.example/users", "http://b.example/users"])
    }

    @Test("When the client is released, the sequence is no longer read", .tags(.BA11))
    func released() async throws {
        let stopped = Gate()
        do {
            let (stream, lists) = AsyncStream<[ServiceEndpoint]>.makeStream()
            lists.onTermination = { _ in stopped.open() }
            let harness = try BalancingHarness(.updates(EndpointUpdates(stream)))
            harness.stub.on(.get, "/users", always: .respond())
            lists.yield([ServiceEndpoint("http://a.example")])
            _ = try await harness.get()
        }
        try await stopped.wait()
    }

    /// A sequence whose second list waits for a gate, and does not notice a cancellation. The third list never comes.
    private struct Deaf: AsyncSequence, AsyncIteratorProtocol, Sendable {
        /// Opens a gate when the last copy of the sequence is released.
        private final class Owned: Sendable {
            private let released: Gate

            init(_ released: Gate) {
                self.released = released
            }

            deinit {
                released.open()
            }
        }

        private let second: Gate
        private let never = Gate()
        private let owned: Owned
        private var count = 0

        init(second: Gate, released: Gate) {
            self.second = second
            owned = Owned(released)
        }

        func makeAsyncIterator() -> Deaf { self }

        mutating func next() async -> [ServiceEndpoint]? {
            count += 1
            let gate = count == 2 ? second : never
            // A task of its own is not cancelled.
            if count > 1 { try? await Task { try await gate.wait() }.value }
            return [ServiceEndpoint("http://a.example")]
        }
    }

    @Test(
        "A sequence that ignores its cancellation is read no further when the client is closed or released",
        .tags(.BA11),
        arguments: [true, false])
    func ignoredCancellation(isClosed: Bool) async throws {
        let (second, released) = (Gate(), Gate())
        do {
            let lists = EndpointUpdates(Deaf(second: second, released: released))
            let harness = try BalancingHarness(.updates(lists))
            harness.stub.on(.get, "/users", always: .respond())
            _ = try await harness.get()
            try await second.waitForWaiters()
            if isClosed { harness.balancers.close() }
        }
        #expect(!released.isOpen)
        second.open()
        try await released.wait()
    }
}
