internal import NIOCore

/// The state that a ``FaultProxy`` and its connections share. Tests wait on it.
struct FaultProxyState: Sendable {
    /// The minimum number of records that are kept. Twice as many are kept at most, so that dropping the oldest costs
    /// little.
    static let logLimit = 10_000

    var plan: FaultPlan
    /// The number of the first connection that the plan applies to.
    var planStart = 0
    /// The number of the next connection.
    var accepted = 0
    /// The open connections by number.
    var openConnections: [Int: FaultConnection] = [:]
    /// The directions in which no bytes pass on future connections.
    var silenced: Set<FaultDirection> = []
    var records: [FaultRecord] = []
    var isStopped = false
    /// The connections that are admitted and not yet in ``openConnections``. Each future completes when its connection
    /// is in ``openConnections``.
    var entering: [Int: EventLoopFuture<Void>] = [:]
    private var turnsByLoop: [ObjectIdentifier: NIOLoopBound<FaultTurns>] = [:]

    init(plan: FaultPlan) {
        self.plan = plan
    }

    mutating func note(_ record: FaultRecord) {
        records.append(record)
        if records.count >= 2 * Self.logLimit { records.removeFirst(Self.logLimit) }
    }

    /// Returns the open connections with these numbers, in the order of their numbers; nil: all open connections.
    func connections(_ numbers: Set<Int>?) -> [FaultConnection] {
        openConnections.values
            .filter { numbers?.contains($0.number) ?? true }
            .sorted { $0.number < $1.number }
    }

    /// Adds an admitted connection to the open ones.
    mutating func enter(_ connection: FaultConnection) {
        openConnections[connection.number] = connection
        entering[connection.number] = nil
    }

    /// Returns the turns of an event loop. Call it on that loop.
    mutating func turns(on eventLoop: any EventLoop) -> NIOLoopBound<FaultTurns> {
        let loop = ObjectIdentifier(eventLoop)
        if let turns = turnsByLoop[loop] { return turns }
        let made = NIOLoopBound(FaultTurns(on: eventLoop), eventLoop: eventLoop)
        turnsByLoop[loop] = made
        return made
    }

    /// The numbers and the plan that an accepted socket gets.
    struct Admission: Sendable {
        /// The connection's number.
        let number: Int
        /// The connection's number, counted from when the plan was put to use.
        let numberInPlan: Int
        let plan: FaultPlan
    }

    /// - Parameter entered: Completes when the connection is in ``openConnections``.
    /// - Returns: the admission; nil if the proxy is stopped.
    mutating func admit(_ entered: EventLoopFuture<Void>) -> Admission? {
        guard !isStopped else { return nil }
        defer { accepted += 1 }
        entering[accepted] = entered
        return Admission(number: accepted, numberInPlan: accepted - planStart, plan: plan)
    }
}
