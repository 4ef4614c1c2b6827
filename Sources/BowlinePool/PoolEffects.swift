/// What the driver is to do after an event, once it has let go of the lock. Each part stands by itself.
struct PoolEffects {
    /// A connection the pool has forgotten.
    struct Removal {
        let id: ConnectionID
        let reason: CloseReason
        /// What to close; `nil` when it is closed already.
        let connection: (any PooledConnection)?
    }

    /// A dial to start.
    struct Dial {
        let id: ConnectionID
        let affinity: Int?
    }

    /// The end of a wait.
    struct Resumption {
        enum Outcome {
            case granted(Grant)
            case prewarmed
            case failed(any Error)
        }

        let waiter: WaiterID
        let outcome: Outcome
    }

    enum WakeUpChange {
        /// Replaces the wake-up before it, if there was one.
        case schedule(WakeUp)
        case cancel
    }

    /// By how many idle connections the pool has grown.
    var idleDelta = 0
    /// How many dials the driver is to name, with `startDials`.
    var dialsDue = 0
    var wakeUp: WakeUpChange?
    var removals: [Removal] = []
    var dials: [Dial] = []
    var cancelledDials: [ConnectionID] = []
    var resumptions: [Resumption] = []

    /// Whether there is nothing to do but to tell the idle count.
    var isQuiet: Bool {
        dialsDue == 0 && wakeUp == nil && removals.isEmpty && dials.isEmpty && cancelledDials.isEmpty
            && resumptions.isEmpty
    }
}

/// A connection for one use.
struct Grant {
    let connection: any PooledConnection
    let uses: Int
    let idleSince: PoolInstant?
}

/// The one timer of a pool. A later wake-up has a higher id; one whose id is not the current one is late and ignored.
struct WakeUp: Equatable {
    let id: Int
    let at: PoolInstant
}
