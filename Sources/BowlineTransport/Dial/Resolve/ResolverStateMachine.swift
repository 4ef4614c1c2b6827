/// Decides which look-up runs when: one for each name, however many dials wait for it.
///
/// A look-up is *queued* until a thread takes it, and *running* until the system has answered. It is *wanted* while it has
/// waiters. A running look-up cannot be stopped: when its last waiter goes, it is *abandoned*, and its answer is dropped unless
/// a new waiter comes before.
///
/// | state | `wanted` | `forgotten`, the last waiter | `threadBecameFree` | `lookUpEnded` |
/// |---|---|---|---|---|
/// | absent | queued | – | – | – |
/// | queued | queued | absent | running, the oldest first | – |
/// | running | running | abandoned | – | absent, its waiters get the answer |
/// | abandoned | running | – | – | absent |
///
/// Names are served in the order in which they were first wanted. At most `Limits.wanted` wanted look-ups run at a time.
/// Abandoned ones do not count against that limit, so names that hang hold up others only as long as dials wait for them;
/// `Limits.threads` bounds both together. A thread is started when a look-up is queued that it may take at once, and ends when
/// there is none.
struct ResolverStateMachine<Waiter: Sendable>: ~Copyable {
    struct Limits {
        /// How many look-ups may run that dials wait for.
        var wanted = 16
        /// How many threads there may be, those of abandoned look-ups included.
        var threads = 64
    }

    struct WaiterID: Hashable, Comparable, Sendable {
        let value: Int

        static func < (left: WaiterID, right: WaiterID) -> Bool { left.value < right.value }
    }

    /// What to do about threads.
    enum Threads: Equatable, Sendable {
        case enough
        /// Start one, which asks `threadBecameFree`; if that fails, say `threadNotStarted`.
        case startOne
    }

    struct Forgotten: Sendable {
        /// The waiter, if it had no answer yet.
        var waiter: Waiter?
        var threads = Threads.enough
    }

    fileprivate struct LookUp {
        var isRunning = false
        var waiters: [WaiterID: Waiter] = [:]
    }

    private let limits: Limits
    private var lookUps: [String: LookUp] = [:]
    /// The names of the queued look-ups, the oldest first.
    private var queue: [String] = []
    /// Threads from the decision to start them until they end.
    private(set) var threadCount = 0
    private(set) var runningCount = 0
    private(set) var abandonedCount = 0
    private var waitersMade = 0

    var queuedCount: Int { queue.count }
    var waiterCount: Int { lookUps.values.reduce(0) { $0 + $1.waiters.count } }

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Makes the name of a waiter.
    mutating func nextWaiterID() -> WaiterID {
        waitersMade += 1
        return WaiterID(value: waitersMade)
    }

    /// A dial waits for the addresses of `name`.
    mutating func wanted(_ name: String, by waiter: Waiter, _ id: WaiterID) -> Threads {
        var lookUp = lookUps[name] ?? enqueue(name)
        if lookUp.isRunning, lookUp.waiters.isEmpty { abandonedCount -= 1 }
        lookUp.waiters[id] = waiter
        lookUps[name] = lookUp
        return startThreadIfDue()
    }

    /// A dial no longer waits for the addresses of `name`.
    mutating func forgotten(_ name: String, _ id: WaiterID) -> Forgotten {
        guard let waiter = lookUps[name]?.waiters.removeValue(forKey: id), let lookUp = lookUps[name] else {
            return Forgotten()
        }
        guard lookUp.waiters.isEmpty else { return Forgotten(waiter: waiter) }
        if lookUp.isRunning {
            abandonedCount += 1
        } else {
            lookUps[name] = nil
            queue.removeAll { $0 == name }
        }
        return Forgotten(waiter: waiter, threads: startThreadIfDue())
    }

    /// A thread can take a look-up: returns its name. nil: there is none for it, and the thread ends.
    mutating func threadBecameFree() -> String? {
        guard !queue.isEmpty, wantedRunning < limits.wanted else {
            threadCount -= 1
            return nil
        }
        let name = queue.removeFirst()
        lookUps[name]?.isRunning = true
        runningCount += 1
        return name
    }

    /// The system has answered: returns the waiters that get the answer, the oldest first. The thread says `threadBecameFree` next.
    mutating func lookUpEnded(_ name: String) -> [Waiter] {
        guard let lookUp = lookUps[name], lookUp.isRunning else { return [] }
        lookUps[name] = nil
        runningCount -= 1
        if lookUp.waiters.isEmpty { abandonedCount -= 1 }
        return lookUp.inOrder
    }

    /// A thread could not be started. Returns the waiters that no other thread will serve.
    mutating func threadNotStarted() -> [Waiter] {
        threadCount -= 1
        guard threadCount == 0 else { return [] }
        defer { queue = [] }
        return queue.flatMap { lookUps.removeValue(forKey: $0)?.inOrder ?? [] }
    }

    private var wantedRunning: Int { runningCount - abandonedCount }
    /// Threads that run no look-up: each is about to ask for one.
    private var freeThreads: Int { threadCount - runningCount }

    private mutating func enqueue(_ name: String) -> LookUp {
        queue.append(name)
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
