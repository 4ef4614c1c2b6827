import Bowline
import Foundation

/// Keeps the tokens of rate limits in a Redis or Valkey server, so that several processes share one quota.
///
/// Bowline's rate gate asks for several tokens at once, and has one question per scope at a time. If the store throws or
/// is slow, the gate goes on with the rate that this process has used lately. So the store has no queue, no retries and no
/// state of its own: it asks the server once, within its time limit, and throws if that fails. The next question connects
/// again.
actor RedisStore: RateLimitStore {
    private let thread = StoreThread(name: "redis")
    private let socket: String
    private let prefix: String
    private let timeout: Duration
    private var connection: RedisConnection?
    private var digest: String?
    /// How many questions were sent to the server.
    private(set) var questions = 0

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// Makes a store. It connects when it is asked for the first time.
    ///
    /// - Parameters:
    ///   - socket: The path of the server's Unix socket.
    ///   - prefix: What the keys in the server begin with.
    ///   - timeout: How long a question may take, with the connection if there is none. The gate itself waits for 100 ms.
    init(socket: String, prefix: String = "rate:", timeout: Duration = .milliseconds(50)) {
        self.socket = socket
        self.prefix = prefix
        self.timeout = timeout
        // hiredis writes to sockets that the server may have closed.
        signal(SIGPIPE, SIG_IGN)
    }

    func take(_ count: Int, of scope: PolicyScope, limit: RateLimit) async throws -> RateLimitGrant {
        // The gate does not wait any more: it would take tokens for no attempt.
        try Task.checkCancellation()
        questions += 1
        let arguments = ["1", prefix + scope.description, "\(count)", "\(1e6 / limit.perSecond)", "\(limit.burst)"]
        guard case .numbers(let numbers) = try run(arguments), numbers.count == 2 else {
            throw StoreFailure(description: "the script has another result")
        }
        let next = Duration.microseconds(numbers[1])
        return RateLimitGrant(
            count: Int(numbers[0]), retryAfter: next > .zero ? next + Self.randomPause(limit) : .zero)
    }

    /// A random time, at most 100 ms and the time in which the bucket is filled. Without it, a process that asks right after
    /// another one would do so again and again, and get few tokens.
    private static func randomPause(_ limit: RateLimit) -> Duration {
        .seconds(min(Double(limit.burst) / limit.perSecond, 0.1) * Double.random(in: 0...1))
    }

    /// Waits until the server answers.
    func waitUntilReady(for limit: Duration) async throws {
        let end = ContinuousClock.now + limit
        while true {
            do {
                return try withConnection { _ = try $0.command(["PING"], within: $1) }
            } catch {
                guard ContinuousClock.now < end else { throw error }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    /// Runs the script by its digest, or by its text if the server does not know it: after a restart, for example.
    private func run(_ arguments: [String]) throws -> RedisConnection.Reply {
        try withConnection { connection, timeout in
            let digest = try digest ?? load(on: connection, within: timeout)
            self.digest = digest
            var reply = try connection.command(["EVALSHA", digest] + arguments, within: timeout)
            if case .error(let text) = reply, text.hasPrefix("NOSCRIPT") {
                reply = try connection.command(["EVAL", TokenScript.text] + arguments, within: timeout)
            }
            if case .error(let text) = reply { throw StoreFailure(description: text) }
            return reply
        }
    }

    private func load(on connection: RedisConnection, within timeout: Duration) throws -> String {
        guard case .text(let digest) = try connection.command(["SCRIPT", "LOAD", TokenScript.text], within: timeout)
        else {
            throw StoreFailure(description: "the server does not load the script")
        }
        return digest
    }

    /// Uses the connection, or makes one. A connection on which something has failed is not used again.
    private func withConnection<T>(_ use: (RedisConnection, Duration) throws -> T) throws -> T {
        let began = ContinuousClock.now
        do {
            let connection = try connection ?? RedisConnection(socket: socket, within: timeout)
            self.connection = connection
            return try use(connection, timeout - began.duration(to: .now))
        } catch {
            connection = nil
            throw error
        }
    }
}
