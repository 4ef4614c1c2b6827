/// What a ``SimulatedService`` did during one tick of virtual time.
public struct SimulatedTick: Sendable, Hashable {
    /// When the tick began, since the begin of the run.
    public let start: Duration
    /// How long the tick is.
    public let length: Duration
    /// How many requests arrived, refused ones included.
    public internal(set) var offered = 0
    /// How many connections were refused.
    public internal(set) var refused = 0
    /// How many requests got an answer without work: the queue was full, or the quota was used up.
    public internal(set) var rejected = 0
    /// How many requests failed by a fault: an error answer, a dropped connection, or a lost request or answer.
    public internal(set) var failed = 0
    /// How many requests a worker has finished.
    public internal(set) var processed = 0
    /// How many successful answers reached a caller that still waited: the *goodput*.
    public internal(set) var good = 0
    /// How many callers gave up before an answer came.
    public internal(set) var gaveUp = 0
    /// How long the workers worked, added up.
    public internal(set) var busy = Duration.zero
    /// How long there were workers, added up: the length of the tick times their number, if it did not change.
    public internal(set) var available = Duration.zero
    /// How many requests waited for a worker at the end of the tick.
    public internal(set) var queued = 0
    /// The most requests that waited for a worker at once.
    public internal(set) var longestQueue = 0

    init(start: Duration, length: Duration) {
        self.start = start
        self.length = length
    }

    /// The share of the workers' time that was used, from 0 to 1; 0 if there were no workers.
    public var load: Double { available > .zero ? min(busy / available, 1) : 0 }

    /// Adds another tick. `queued` and `longestQueue` are added too: the sum over replicas.
    mutating func add(_ other: SimulatedTick) {
        offered += other.offered
        refused += other.refused
        rejected += other.rejected
        failed += other.failed
        processed += other.processed
        good += other.good
        gaveUp += other.gaveUp
        busy += other.busy
        available += other.available
        queued += other.queued
        longestQueue += other.longestQueue
    }
}

/// The ticks of one replica.
struct SimulatedRecord: Sendable {
    /// Later ticks are added to the last one.
    private static let maximumTicks = 1_000_000

    private(set) var ticks: [SimulatedTick] = []
    private let start: Int64
    private let length: Int64
    private var last: Int64
    private var busy = 0
    private var workers = 0
    private var queued = 0

    /// - Parameters:
    ///   - start: When the record begins, in nanoseconds.
    ///   - length: How long a tick is, in nanoseconds; at least 1.
    init(start: Int64, length: Int64) {
        self.start = start
        self.length = max(length, 1)
        last = start
    }

    /// Counts an event. Call ``advance(to:)`` first.
    mutating func count(_ event: WritableKeyPath<SimulatedTick, Int>) {
        ticks[ticks.count - 1][keyPath: event] += 1
    }

    /// The numbers from now on. Call ``advance(to:)`` first.
    mutating func set(busy: Int, workers: Int, queued: Int) {
        self.busy = busy
        self.workers = workers
        self.queued = queued
        ticks[ticks.count - 1].queued = queued
        ticks[ticks.count - 1].longestQueue = max(ticks[ticks.count - 1].longestQueue, queued)
    }

    /// Adds the time until `now`, in nanoseconds.
    mutating func advance(to now: Int64) {
        let index = Int(min((max(now, start) - start) / length, Int64(Self.maximumTicks - 1)))
        while ticks.count <= index {
            if !ticks.isEmpty { fill(to: start + Int64(ticks.count) * length) }
            var tick = SimulatedTick(
                start: .nanoseconds(start + Int64(ticks.count) * length), length: .nanoseconds(length))
            tick.queued = queued
            tick.longestQueue = queued
            ticks.append(tick)
        }
        fill(to: now)
    }

    private mutating func fill(to now: Int64) {
        guard now > last else { return }
        let time = Duration.nanoseconds(now - last)
        ticks[ticks.count - 1].busy += time * busy
        ticks[ticks.count - 1].available += time * workers
        last = now
    }
}
