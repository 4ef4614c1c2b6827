import Bowline
import Foundation
import Testing

@testable import FleetLimit

@Suite("Tokens in a Redis or Valkey server", .serialized)
struct RedisStoreTests {
    private let scope: PolicyScope

    init() throws {
        scope = PolicyScope(origin: try ServiceURL("https://api.example.com").origin, name: "orders")
    }

    /// Calls a closure with a server of its own. The server is killed at the end.
    private func withServer(_ body: (StoreKeeper, RedisStore) async throws -> Void) async throws {
        let keeper = try StoreKeeper()
        defer { keeper.end() }
        try keeper.start()
        let store = RedisStore(socket: keeper.socket, timeout: .seconds(5))
        try await store.waitUntilReady(for: .seconds(10))
        try await body(keeper, store)
    }

    @Test("A new scope has no token; later it has as many as its rate has made, and at most the burst")
    func bucket() async throws {
        try await withServer { _, store in
            // One token per second: the test is faster.
            let slow = RateLimit(perSecond: 1, burst: 3)
            let first = try await store.take(2, of: scope, limit: slow)
            #expect(first.count == 0)
            // The next token comes after a second, and the pause has a random part of at most 0.1 s.
            #expect((.seconds(1)...(.milliseconds(1100))).contains(first.retryAfter))
            // A token per microsecond: the bucket is full at the next question.
            let fast = RateLimit(perSecond: 1_000_000, burst: 3)
            let other = PolicyScope(origin: scope.origin)
            _ = try await store.take(1, of: other, limit: fast)
            let two = try await store.take(2, of: other, limit: fast)
            #expect(two == RateLimitGrant(count: 2))
            let many = try await store.take(100, of: other, limit: fast)
            #expect((1...3).contains(many.count))
            #expect((.zero...(.microseconds(5))).contains(many.retryAfter))
            let questions = await store.questions
            #expect(questions == 4)
        }
    }

    @Test("Two stores take the tokens of one scope from one bucket")
    func shared() async throws {
        try await withServer { keeper, first in
            let second = RedisStore(socket: keeper.socket, timeout: .seconds(5))
            let limit = RateLimit(perSecond: 1000, burst: 1_000_000)
            let clock = ContinuousClock()
            let began = clock.now
            var taken = 0
            for _ in 0..<200 {
                taken += try await first.take(1000, of: scope, limit: limit).count
                taken += try await second.take(1000, of: scope, limit: limit).count
            }
            let passed = began.duration(to: clock.now) / .milliseconds(1)
            #expect(taken > 0)
            #expect(Double(taken) <= passed)
        }
    }

    @Test(
        "A server that was killed fails the question; after a restart it has an empty bucket and gets the script again")
    func restart() async throws {
        try await withServer { keeper, store in
            let limit = RateLimit(perSecond: 1_000_000, burst: 10)
            _ = try await store.take(1, of: scope, limit: limit)
            let before = try await store.take(10, of: scope, limit: limit)
            #expect(before.count == 10)
            try keeper.kill()
            await #expect(throws: StoreFailure.self) {
                // The signal may come after some answers.
                while true { _ = try await store.take(1, of: scope, limit: limit) }
            }
            try keeper.start()
            try await store.waitUntilReady(for: .seconds(10))
            let slow = RateLimit(perSecond: 1, burst: 10)
            let after = try await store.take(10, of: scope, limit: slow)
            #expect(after.count == 0)
        }
    }

    @Test("A question of a cancelled task takes no token")
    func cancelled() async throws {
        try await withServer { _, store in
            let limit = RateLimit(perSecond: 1000, burst: 10)
            let question = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await store.take(1, of: scope, limit: limit)
            }
            await #expect(throws: CancellationError.self) { try await question.value }
            let questions = await store.questions
            #expect(questions == 0)
        }
    }

    @Test("Without a server, a question fails at once, and says why")
    func noServer() async throws {
        let missing = FileManager.default.temporaryDirectory.appending(path: "no-server").path
        let store = RedisStore(socket: missing)
        await #expect {
            try await store.take(1, of: scope, limit: RateLimit(perSecond: 1, burst: 1))
        } throws: { ($0 as? StoreFailure)?.description == "No such file or directory" }
    }
}
