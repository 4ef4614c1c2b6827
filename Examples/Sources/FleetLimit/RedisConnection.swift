import CHiredis
import Foundation

/// A failure of the store, or of the connection to it.
struct StoreFailure: Error, CustomStringConvertible {
    let description: String
}

/// A connection to a Redis or Valkey server. Each call blocks the thread, at most for the given time.
///
/// Not thread-safe, and not usable any more after a call has thrown.
final class RedisConnection {
    /// A reply of the server, as far as this program needs it.
    enum Reply {
        case text(String)
        case numbers([Int64])
        case error(String)
        case other
    }

    private let context: UnsafeMutablePointer<redisContext>

    /// Connects.
    ///
    /// - Parameter socket: The path of the server's Unix socket.
    init(socket: String, within timeout: Duration) throws {
        guard let context = redisConnectUnixWithTimeout(socket, timeval(timeout)) else {
            throw StoreFailure(description: "no memory for a connection")
        }
        self.context = context
        try check()
    }

    deinit { redisFree(context) }

    /// Sends a command and waits for its reply.
    func command(_ words: [String], within timeout: Duration) throws -> Reply {
        guard redisSetTimeout(context, timeval(timeout)) == REDIS_OK else { throw failure }
        var arguments = words.map { UnsafePointer(strdup($0)) }
        defer { for argument in arguments { free(UnsafeMutablePointer(mutating: argument)) } }
        let lengths = words.map(\.utf8.count)
        guard let raw = redisCommandArgv(context, Int32(words.count), &arguments, lengths) else { throw failure }
        defer { freeReplyObject(raw) }
        return Self.reply(raw.assumingMemoryBound(to: redisReply.self).pointee)
    }

    private func check() throws {
        if context.pointee.err != 0 { throw failure }
    }

    private var failure: StoreFailure {
        withUnsafeBytes(of: context.pointee.errstr) { bytes in
            StoreFailure(description: String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
        }
    }

    private static func reply(_ reply: redisReply) -> Reply {
        switch reply.type {
        case REDIS_REPLY_STRING, REDIS_REPLY_STATUS: return .text(text(of: reply))
        case REDIS_REPLY_ERROR: return .error(text(of: reply))
        case REDIS_REPLY_ARRAY:
            let numbers = (0..<reply.elements).compactMap { index -> Int64? in
                guard let element = reply.element[index]?.pointee, element.type == REDIS_REPLY_INTEGER else {
                    return nil
                }
                return element.integer
            }
            return numbers.count == reply.elements ? .numbers(numbers) : .other
        default: return .other
        }
    }

    private static func text(of reply: redisReply) -> String {
        let bytes = UnsafeRawBufferPointer(start: reply.str, count: reply.len)
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension timeval {
    /// At least a millisecond: zero would mean that there is no limit.
    fileprivate init(_ duration: Duration) {
        let (seconds, attoseconds) = max(duration, .milliseconds(1)).components
        self.init(tv_sec: Int(seconds), tv_usec: .init(attoseconds / 1_000_000_000_000))
    }
}
