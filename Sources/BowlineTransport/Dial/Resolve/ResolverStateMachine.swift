/// Decides when each look-up runs. There is one look-up per query (a name and a family), even if many dials wait for its
/// answer.
///
/// A look-up is *queued* until a thread takes it, and *running* until the system has answered. A running look-up cannot
/// be stopped. When its last waiter leaves, it is *abandoned*: its answer is dropped, unless a new waiter comes before
/// the answer. A look-up is *wanted* while it has waiters.
///
/// | state | `wanted` | `forgotten`, the last waiter | `threadBecameFree` | `lookUpEnded` |
/// |---|---|---|---|---|
/// | absent | queued | – | – | – |
/// | queued | queued | absent | running, the oldest first | – |
/// | running | running | abandoned | – | absent, its waiters get the answer |
/// | abandoned | running | – | – | absent |
///
/// Each family has its own machine, because the look-ups of one family may all hang: some networks drop the questions
/// for IPv6 addresses. Queries are served in the order in which they were first wanted. At most `Limits.wanted` wanted
/// look-ups run at a time. Abandoned look-ups do not count against that limit. So if the look-up of one name hangs, it
/// delays other names only while dials wait for that name. `Limits.threads` limits the threads for wanted and abandoned
/// look-ups together. A thread is started when a look-up is queued and a new thread could take it at once. A thread ends
/// when there is no look-up that it could take.
struct ResolverStateMachine<Query: Hashable & Sendable, Waiter: Sendable>: ~Copyable {
    struct Limits {
        /// How many wanted look-ups may run at a time.
        var wanted = 16
        /// How many threads there may be, including those of abandoned look-ups.
        var threads = 32
    }

    typealias WaiterID = LookUpWaiterID

    /// The caller's next action: whether it has to start a thread.
    enum Threads: Equatable, Sendable {
        case enough
        /// Start one thread, which calls `threadBecameFree`. If the system cannot start the thread, call
        /// `threadNotStarted`.
        case startOne
    }

    struct Forgotten: Sendable {
        /// The waiter; nil: it already had its answer.
        var waiter: Waiter?
        var threads = Threads.enough
    }

    fileprivate struct LookUp {
        var isRunning = false
        var waiters: [WaiterID: Waiter] = [:]
    }

    private let limits: Limits
    private var lookUps: [Query: LookUp] = [:]
    /// The queries of the queued look-ups, the oldest first.
    private var queue: [Query] = []
    /// The number of threads, from the decision to start one until it ends.
    private(set) var threadCount = 0
    private(set) var runningCount = 0
    private(set) var abandonedCount = 0
    private var waitersMade = 0

    var queuedCount: Int { queue.count }
    var waiterCount: Int { lookUps.values.reduce(0) { $0 + $1.waiters.count } }

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Draws an id for a new waiter.
    mutating func nextWaiterID() -> WaiterID {
        waitersMade += 1
        return WaiterID(value: waitersMade)
    }

    /// Records that a dial waits for the answer to `query`.
    mutating func wanted(_ query: Query, by waiter: Waiter, _ id: WaiterID) -> Threads {
        var lookUp = lookUps[query] ?? enqueue(query)
        if lookUp.isRunning, lookUp.waiters.isEmpty { abandonedCount -= 1 }
        lookUp.waiters[id] = waiter
        lookUps[query] = lookUp
        return startThreadIfDue()
    }

    /// Records that a dial no longer waits for the answer to `query`.
    mutating func forgotten(_ query: Query, _ id: WaiterID) -> Forgotten {
        guard let waiter = lookUps[query]?.waiters.removeValue(forKey: id), let lookUp = lookUps[query] else {
            return Forgotten()
        }
        guard lookUp.waiters.isEmpty else { return Forgotten(waiter: waiter) }
        if lookUp.isRunning {
            abandonedCount += 1
        } else {
            lookUps[query] = nil
            queue.removeAll { $0 == query }
        }
        return Forgotten(waiter: waiter, threads: startThreadIfDue())
    }

    /// Returns the query that a free thread looks up; nil: no query waits, and the thread ends.
    mutating func threadBecameFree() -> Query? {
        guard !queue.isEmpty, wantedRunning < limits.wanted else {
            threadCount -= 1
            return nil
        }
        let query = queue.removeFirst()
        lookUps[query]?.isRunning = true
        runningCount += 1
        return query
    }

    /// Records that the system has answered. Returns the waiters for the answer, the oldest first. The thread then
    /// calls `threadBecameFree`.
    mutating func lookUpEnded(_ query: Query) -> [Waiter] {
        guard let lookUp = lookUps[query], lookUp.isRunning else { return [] }
        lookUps[query] = nil
        runningCount -= 1
        if lookUp.waiters.isEmpty { abandonedCount -= 1 }
        return lookUp.inOrder
    }

    /// Records that a thread could not be started. Returns the waiters that no other thread will serve.
    mutating func threadNotStarted() -> [Waiter] {
        threadCount -= 1
        guard threadCount == 0 else { return [] }
        defer { queue = [] }
        return queue.flatMap { lookUps.removeValue(forKey: $0)?.inOrder ?? [] }
    }

    private var wantedRunning: Int { runningCount - abandonedCount }
    /// Threads that run no look-up. Each is about to ask for one.
    private var freeThreads: Int { threadCount - runningCount }

    private mutating func enqueue(_ query: Query) -> LookUp {
        queue.append(query)
        return LookUp()
    }

    private mutating func startThreadIfDue() -> Threads {
        guard queue.count > freeThreads, wantedRunning + freeThreads < limits.wanted, threadCount < limits.threads
        else {
            return .enough
        }
        threadCount += 1
        return .startOne
    }
}

extension ResolverStateMachine.LookUp {
    fileprivate var inOrder: [Waiter] {
        waiters.sorted { $0.key < $1.key }.map(\.value)
    }
}
