internal import Bowline
internal import BowlineTesting

/// What an episode speaks.
enum LedgerProtocol: String, Sendable, CaseIterable {
    case http1 = "HTTP/1.1"
    case tls = "HTTP/1.1, TLS"
    case http2 = "HTTP/2, TLS"

    var isEncrypted: Bool { self != .http1 }
}

/// How a request's body is given to the client.
enum LedgerBodyKind: Sendable, Hashable, CaseIterable {
    case none
    case bytes
    /// A sequence that can be read once, of known length.
    case sizedStream
    /// A sequence that can be read once, of unknown length.
    case stream
    /// A closure that makes a sequence for each attempt, of known length.
    case replayable
    /// A closure that makes a sequence for each attempt, of unknown length, and trailer fields.
    case trailed
    case file
}

/// One request of an episode, and what the service does with it.
struct LedgerRequestPlan: Sendable, Hashable {
    var id: UInt64
    var method: HTTPRequest.Method
    /// The target, which the client also takes as reference.
    var target: String
    var bodyKind = LedgerBodyKind.none
    var bodySize = 0
    /// How many bytes a sequence yields at once.
    var chunkSize = 16_384
    /// How long a sequence pauses before each chunk, in milliseconds.
    var chunkPause = 0
    var answerSize = 0
    var isKeyed = false
    var isMarkedNotIdempotent = false
    var allowsResend = true
    var expectsContinue = false
    /// The call's limit, in milliseconds.
    var deadline: Int
    /// When the program cancels the call, in milliseconds after its start; nil: never.
    var cancelAfter: Int?
    /// What the service does with the request's first arrival, its second …; the last again and again.
    var acts: [LedgerAct] = [.answer]

    var isIdempotent: Bool {
        guard !isMarkedNotIdempotent else { return false }
        return isKeyed || method != .post && method != .patch
    }

    func act(onArrival arrival: Int) -> LedgerAct {
        acts.isEmpty ? .answer : acts[min(arrival, acts.count - 1)]
    }
}

/// Everything that is drawn for an episode.
struct LedgerPlan: Sendable {
    var seed: UInt64
    var episode: Int
    var wire: LedgerProtocol
    /// Whether nothing disturbs the episode: each call has to succeed.
    var isCalm: Bool
    var requests: [LedgerRequestPlan]
    /// How many calls are in flight at the same time.
    var concurrency: Int
    /// After how many ended calls the client is shut down; nil: after all.
    var shutdownAfter: Int?
    /// How long a shutdown in the middle lets calls finish, in milliseconds.
    var shutdownLimit = 0
    /// The faults of the path; nil: the client dials the service itself.
    var faults: LedgerFaults?
    var pool: PoolOptions
    var http2: HTTP2Options
    var retry: RetryOptions
    var timeouts: Timeouts
    /// The service's limits (HTTP/2).
    var serverStreams = 100
    var serverWindow: Int?
    var requestsPerConnection: Int?
    /// The service's buffers, in bytes; nil: the system's.
    var serverBuffers: Int?

    /// The plan of an episode: the same for the same seed and number.
    ///
    /// - Parameters:
    ///   - seed: The run's.
    ///   - episode: The number of the episode in the run, from 0.
    ///   - wire: What it speaks; nil: drawn.
    ///   - count: How many requests; nil: drawn, 150 to 400.
    static func drawn(seed: UInt64, episode: Int, wire: LedgerProtocol? = nil, count: Int? = nil) -> LedgerPlan {
        // Far apart for neighbours: a generator's first number mixes its seed.
        var mixing = SeededRandom(seed: seed)
        var random = SeededRandom(seed: mixing.next() ^ (UInt64(truncatingIfNeeded: episode) &* 0xD134_2543_DE82_EF95))
        var drawing = LedgerDrawing(random: SeededRandom(seed: random.next()), wire: wire)
        return drawing.plan(seed: seed, episode: episode, count: count)
    }
}
