internal import BowlineCore

/// The actions that the driver must take after an event, once it has released the lock. Each part is independent of the
/// others.
struct PoolEffects {
    /// A connection that the pool has forgotten.
    struct Removal {
        let id: ConnectionID
        let reason: CloseReason
        /// The connection to close. `nil`: it is closed already.
        let connection: (any HTTPConnection)?
    }

    /// A connection that gets no more leases.
    struct Retirement {
        let connection: any HTTPConnection
        let reason: CloseReason
        /// How many leases it has had.
        let leases: Int
    }

    /// A dial to start.
    struct Dial {
        let id: ConnectionID
        let affinity: Int?
    }

    /// The end of a wait.
    struct Resumption {
        enum Outcome {
            case granted(Lease)
            case prewarmed
            case failed(any Error)
        }

        let waiter: WaiterID
        let outcome: Outcome
    }

    enum WakeUpChange {
        /// Set this wake-up. It replaces the earlier one, if there is one.
        case schedule(WakeUp)
        case cancel
    }

    /// The change in the number of idle connections.
    var idleDelta = 0
    /// How many dials the driver has to name and start, with `startDials`.
    var dialsDue = 0
    /// The effects that an ordinary lease or release does not have. Empty or one element: an array, so that moving a
    /// `PoolEffects` copies one word instead of ten.
    private var rare: [RareEffects] = []

    var wakeUp: WakeUpChange? { rare.first?.wakeUp }
    var removals: [Removal] { rare.first?.removals ?? [] }
    var retirements: [Retirement] { rare.first?.retirements ?? [] }
    /// Connections that have to probe their peers.
    var probes: [any HTTPConnection] { rare.first?.probes ?? [] }
    var dials: [Dial] { rare.first?.dials ?? [] }
    var cancelledDials: [ConnectionID] { rare.first?.cancelledDials ?? [] }
    var resumptions: [Resumption] { rare.first?.resumptions ?? [] }

    /// Whether there is nothing to do except to report `idleDelta`.
    var isQuiet: Bool {
        dialsDue == 0 && rare.isEmpty
    }

    mutating func changeWakeUp(_ change: WakeUpChange) {
        withRare { $0.wakeUp = change }
    }

    mutating func remove(_ id: ConnectionID, _ reason: CloseReason, closing connection: (any HTTPConnection)?) {
        withRare { $0.removals.append(Removal(id: id, reason: reason, connection: connection)) }
    }

    mutating func retire(_ connection: any HTTPConnection, _ reason: CloseReason, leases: Int) {
        withRare { $0.retirements.append(Retirement(connection: connection, reason: reason, leases: leases)) }
    }

    mutating func probe(_ connection: any HTTPConnection) {
        withRare { $0.probes.append(connection) }
    }

    mutating func dial(_ id: ConnectionID, affinity: Int?) {
        withRare { $0.dials.append(Dial(id: id, affinity: affinity)) }
    }

    mutating func cancelDial(_ id: ConnectionID) {
        withRare { $0.cancelledDials.append(id) }
    }

    mutating func resume(_ waiter: WaiterID, _ outcome: Resumption.Outcome) {
        withRare { $0.resumptions.append(Resumption(waiter: waiter, outcome: outcome)) }
    }

    private mutating func withRare(_ change: (inout RareEffects) -> Void) {
        if rare.isEmpty { rare.append(RareEffects()) }
        change(&rare[0])
    }

    private struct RareEffects {
        var wakeUp: WakeUpChange?
        var removals: [Removal] = []
        var retirements: [Retirement] = []
        var probes: [any HTTPConnection] = []
        var dials: [Dial] = []
        var cancelledDials: [ConnectionID] = []
        var resumptions: [Resumption] = []
    }
}

/// The one timer of a pool. A later wake-up has a higher id. A wake-up that does not have the current id is late and
/// ignored.
struct WakeUp: Equatable {
    let id: Int
    let at: MonotonicInstant
}
