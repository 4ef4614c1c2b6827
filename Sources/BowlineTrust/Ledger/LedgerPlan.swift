internal import Bowline
internal import BowlineTesting

/// The protocol of an episode.
enum LedgerProtocol: String, Sendable, CaseIterable {
    case http1 = "HTTP/1.1"
    case tls = "HTTP/1.1, TLS"
    case http2 = "HTTP/2, TLS"

    var isEncrypted: Bool { self != .http1 }
}

/// The form in which a program gives a request's body to the client.
enum LedgerBodyKind: Sendable, Hashable, CaseIterable {
    case none
    case bytes
    /// A sequence of known length that can be read once.
    case sizedStream
    /// A sequence of unknown length that can be read once.
    case stream
    /// A closure that makes a sequence of known length for each attempt.
    case replayable
    /// A closure that makes a sequence of unknown length for each attempt, with trailer fields.
    case trailed
    case file
}

/// One request of an episode, and how the service handles it.
struct LedgerRequestPlan: Sendable, Hashable {
    var id: UInt64
    var method: HTTPRequest.Method
    /// The request target. The program also passes it to the client as the reference to resolve.
    var target: String
    var bodyKind = LedgerBodyKind.none
    var bodySize = 0
    /// How many bytes each chunk of a sequence has.
    var chunkSize = 16_384
    /// How long a sequence pauses before each chunk, in milliseconds.
    var chunkPause = 0
    /// How many bytes of large fields the request has besides its other fields. HTTP/2.
    var largeFieldBytes = 0
    var answerSize = 0
    var isKeyed = false
    var isMarkedNotIdempotent = false
    var allowsResend = true
    var expectsContinue = false
    /// The total timeout of the call, in milliseconds.
    var deadline: Int
    /// When the program cancels the call, in milliseconds after its start; nil: never.
    var cancelAfter: Int?
    /// How the service handles each arrival of the request, in order. Further arrivals use the last act.
    var acts: [LedgerAct] = [.answer]

    var isIdempotent: Bool {
        guard !isMarkedNotIdempotent else { return false }
        return isKeyed || method != .post && method != .patch
    }

    func act(onArrival arrival: Int) -> LedgerAct {
        acts.isEmpty ? .answer : acts[min(arrival, acts.count - 1)]
    }
}

/// The complete plan of an episode.
struct LedgerPlan: Sendable {
    var seed: UInt64
    var episode: Int
    var wire: LedgerProtocol
    /// Whether nothing disturbs the episode, so that each call must succeed.
    var isCalm: Bool
    var requests: [LedgerRequestPlan]
    /// How many calls are in flight at the same time.
    var concurrency: Int
    /// The number of ended calls after which the client shuts down; nil: after all calls.
    var shutdownAfter: Int?
    /// How long a shutdown during the run waits for calls in flight, in milliseconds.
    var shutdownLimit = 0
    /// How the client reaches the service, or the path with faults before it.
    var route = LedgerRoute.direct
    /// The faults of the path before the service; nil: there is no such path.
    var faults: LedgerFaults?
    var pool: PoolOptions
    var http2: HTTP2Options
    var retry: RetryOptions
    var timeouts: Timeouts
    /// The limits of an HTTP/2 service.
    var serverStreams = 100
    var serverWindow: Int?
    /// The number of requests after which the service ends a connection: over HTTP/2 with GOAWAY, over HTTP/1.1 with
    /// `Connection: close`. nil: never.
    var requestsPerConnection: Int?
    /// The socket buffers of the service, in bytes; nil: the system's default.
    var serverBuffers: Int?
    /// Whether the client gets a ``CountingClock``, so that timers that it leaves behind are detected.
    var countsTimers = false

    /// Draws the plan of an episode: the same plan for the same seed and number.
    ///
    /// - Parameters:
    ///   - seed: The seed of the run.
    ///   - episode: The number of the episode in the run, from 0.
    ///   - wire: The protocol; nil: the seed determines it.
    ///   - count: How many requests; nil: the seed determines it, 150 to 400, fewer if few calls run at once.
    ///   - proxies: The proxies of routes. They change nothing else, except what ``take(_:)`` says.
    static func drawn(
        seed: UInt64, episode: Int, wire: LedgerProtocol? = nil, count: Int? = nil, proxies: [LedgerProxy] = []
    ) -> LedgerPlan {
        // Mixes the seed, so that episodes with neighbouring numbers have unrelated plans.
        var mixing = SeededRandom(seed: seed)
        var random = SeededRandom(seed: mixing.next() ^ (UInt64(truncatingIfNeeded: episode) &* 0xD134_2543_DE82_EF95))
        var drawing = LedgerDrawing(random: SeededRandom(seed: random.next()), wire: wire)
        var plan = drawing.plan(seed: seed, episode: episode, count: count)
        // Another generator, so that a seed draws the same other properties with and without proxies.
        var routing = SeededRandom(seed: random.next())
        plan.take(.drawn(&routing, wire: plan.wire, among: proxies))
        return plan
    }
}
