internal import NIOCore

/// What a ``FaultProxy`` and its connections share; a test waits upon it.
struct FaultProxyState: Sendable {
    /// How many records are kept at least; twice as many at most, so that dropping the oldest costs little.
    static let logLimit = 10_000

    var plan: FaultPlan
    /// The number of the first connection that the plan is for.
    var planStart = 0
    /// The number of the next connection.
    var accepted = 0
    /// By number.
    var openConnections: [Int: FaultConnection] = [:]
    /// Directions in which nothing passes on connections that are still to come.
    var silenced: Set<FaultDirection> = []
    var records: [FaultRecord] = []
    var isStopped = false
    private var turnsByLoop: [ObjectIdentifier: NIOLoopBound<FaultTurns>] = [:]

    init(plan: FaultPlan) {
        self.plan = plan
    }

    mutating func note(_ record: FaultRecord) {
        records.append(record)
        if records.count >= 2 * Self.logLimit { records.removeFirst(Self.logLimit) }
    }

    /// The open connections of these numbers, or all, in the order of their numbers.
    func connections(_ numbers: Set<Int>?) -> [FaultConnection] {
        openConnections.values
            .filter { numbers?.contains($0.number) ?? true }
            .sorted { $0.number < $1.number }
    }

    /// The turns of an event loop. To be called on that loop.
    mutating func turns(on eventLoop: any EventLoop) -> NIOLoopBound<FaultTurns> {
        let loop = ObjectIdentifier(eventLoop)
        if let turns = turnsByLoop[loop] { return turns }
        let made = NIOLoopBound(FaultTurns(on: eventLoop), eventLoop: eventLoop)
        turnsByLoop[loop] = made
        return made
    }

    /// What an accepted socket gets.
    struct Admission: Sendable {
        /// The connection's number.
        let number: Int
        /// The same, from when the plan was put to use.
        let numberInPlan: Int
        let plan: FaultPlan
    }

    /// - Returns: nil if the proxy is stopped.
    mutating func admit() -> Admission? {
        guard !isStopped else { return nil }
        defer { accepted += 1 }
        return Admission(number: accepted, numberInPlan: accepted - planStart, plan: plan)
    }
}
