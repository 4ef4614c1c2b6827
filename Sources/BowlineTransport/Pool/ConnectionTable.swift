internal import BowlineCore
internal import DequeModule

/// The machine's knowledge about one connection, from the start of its dial.
struct ConnectionSlot {
    enum Phase {
        /// Its dial is under way. → leased or vacant
        case dialling
        /// Leased, or just established and about to be leased. A multiplexed connection is also in this phase when it
        /// has no lease and no request can use it now. → idle or vacant
        case leased
        /// Idle in the pool. → leased or vacant
        case idle
        /// The pool has forgotten the connection, and the slot can be reused. → dialling
        case vacant
    }

    fileprivate(set) var id: ConnectionID
    fileprivate(set) var phase: Phase = .dialling
    /// `nil` exactly while dialling or vacant.
    fileprivate(set) var connection: (any HTTPConnection)?
    /// Whether it is multiplexed: HTTP/2, with several leases at once.
    fileprivate(set) var isMultiplexed = false
    /// The number of its dial, in the order in which dials were started.
    fileprivate(set) var dialNumber = 0
    /// When its dial was started.
    fileprivate let dialledAt: MonotonicInstant
    /// Whether its dial is *late*: a waiter has given it up.
    fileprivate(set) var isLate = false
    /// How many leases it may have at once.
    var capacity = 1
    /// How many leases it has.
    var leases = 0
    /// The reason why the connection gets no more leases. `nil`: it is not retired.
    fileprivate(set) var retirement: CloseReason?
    /// Whether its peer must show that it is alive before the connection gets a lease.
    fileprivate(set) var isDoubted = false
    /// When its peer last showed that it is alive: the connection was established, the peer answered a probe, or a
    /// lease ended well.
    var seenAt: MonotonicInstant?
    /// How many leases it has had, except those that were returned unused.
    var uses = 0
    /// How many leases it has had, including those that were returned unused.
    var grants = 0
    /// When one of its leases last ended after a complete exchange.
    var usedAt: MonotonicInstant?
    /// From this instant on, the connection is too old to become idle again.
    var retireAt: MonotonicInstant?
    /// When the connection last became free. `nil`: it has not been free since its dial.
    var idleSince: MonotonicInstant?
    /// When its idle time ends, and for which reason.
    var expiry: MonotonicInstant?
    var expiryReason = CloseReason.idleTimeout

    fileprivate var lane = 0
    fileprivate var inAll = IdleLinks()
    fileprivate var inLane = IdleLinks()

    fileprivate init(id: ConnectionID, dialledAt: MonotonicInstant) {
        self.id = id
        self.dialledAt = dialledAt
    }

    /// Whether it can get one more lease now.
    var hasRoom: Bool { leases < capacity && retirement == nil && !isDoubted }

    /// Whether it can get leases, now or when it has room: it is neither retired nor doubted.
    var takesRequests: Bool { retirement == nil && !isDoubted }

    /// Whether it is multiplexed and can get leases, now or when it has room.
    fileprivate var isLive: Bool { isMultiplexed && takesRequests }
}

/// A slot's neighbours in a list of idle slots. -1: none.
private struct IdleLinks {
    var newer = -1
    var older = -1
}

/// All connections of a pool, and the order in which the idle ones were used.
///
/// A connection keeps its position until it is removed. An idle connection is in two linked lists: the list of all, and
/// the list of its affinity. Taking the most recently used connection, closing the one that has been idle longest and
/// removing one from the middle cost a few memory writes each, without a search or an allocation.
struct ConnectionTable {
    private struct Lane {
        let affinity: Int
        var newest = -1
    }

    private var slots: [ConnectionSlot] = []
    private var vacant: [Int] = []
    private var positions: [ConnectionID: Int] = [:]
    // The list of idle connections of each event loop that has had a connection. There are few lists, so a look-up
    // tries one after another.
    private var lanes: [Lane] = []
    private var newest = -1
    private var oldest = -1
    private(set) var idleCount = 0
    private(set) var diallingCount = 0
    /// How many of the dials under way are late.
    private(set) var lateDialCount = 0
    /// How many multiplexed connections can get leases, now or when they have room.
    private(set) var multiplexedCount = 0
    /// The multiplexed connections in any phase after the dial, by age. They are few: their limit is small.
    private(set) var multiplexed: [Int] = []
    /// How many dials have been started in total.
    private(set) var dialsStarted = 0
    // The dials under way, in the order of their start, and some dials that have ended.
    private var dials: [ConnectionID] = []
    // The same, without the late ones at the front.
    private var timelyDials = Deque<ConnectionID>()
    // The late dials under way, in the order of their start, and some dials that have ended.
    private var lateDials = Deque<ConnectionID>()
    // The multiplexed connections in use that have room, in the order in which they got it. Few: their limit is small.
    private var activeWithRoom: [Int] = []

    /// How many connections are dialling, leased or idle.
    var count: Int {
        positions.count
    }

    var leasedCount: Int {
        count - idleCount - diallingCount
    }

    /// How many dials are under way that are not late.
    var timelyDialCount: Int { diallingCount - lateDialCount }

    /// How many leases the multiplexed connections have.
    var streamCount: Int {
        multiplexed.reduce(0) { $0 + slots[$1].leases }
    }

    /// The multiplexed connections that have no lease, and that no request can use now.
    var withdrawn: [Int] {
        multiplexed.filter { slots[$0].phase == .leased && slots[$0].leases == 0 }
    }

    /// How many connections carry a request.
    var busyCount: Int {
        leasedCount - withdrawn.count
    }

    /// How many multiplexed connections are doubted and not retired.
    var doubtedCount: Int {
        multiplexed.count { slots[$0].isDoubted && slots[$0].retirement == nil }
    }

    /// How many multiplexed connections take no new requests: they are retired or doubted.
    var unavailableCount: Int {
        multiplexed.count - multiplexedCount
    }

    /// How many connections take requests, now or when they have room.
    var availableCount: Int {
        count - diallingCount - unavailableCount
    }

    /// The connection's position. `nil`: the pool has forgotten the connection.
    func position(of id: ConnectionID) -> Int? {
        positions[id]
    }

    subscript(position: Int) -> ConnectionSlot {
        _read { yield slots[position] }
        _modify { yield &slots[position] }
    }

    /// The connection that has been idle longest.
    var oldestIdle: Int? {
        oldest < 0 ? nil : oldest
    }

    /// The idle connection that was used next after the given one.
    func nextNewerIdle(than position: Int) -> Int? {
        let newer = slots[position].inAll.newer
        return newer < 0 ? nil : newer
    }

    /// The idle connections, beginning with the one that has been idle longest.
    var idlePositions: [Int] {
        Array(
            sequence(state: oldestIdle) { next in
                guard let position = next else { return nil }
                next = nextNewerIdle(than: position)
                return position
            })
    }

    /// The connections in the given phase, by age. Looks at all slots.
    func positions(in phase: ConnectionSlot.Phase) -> [Int] {
        slots.indices.filter { slots[$0].phase == phase }.sorted { slots[$0].id < slots[$1].id }
    }

    mutating func addDial(_ id: ConnectionID, now: MonotonicInstant) {
        precondition(positions[id] == nil, "a connection's name was used twice")
        let position: Int
        if let free = vacant.popLast() {
            position = free
            slots[position] = ConnectionSlot(id: id, dialledAt: now)
        } else {
            position = slots.count
            slots.append(ConnectionSlot(id: id, dialledAt: now))
        }
        dialsStarted += 1
        slots[position].dialNumber = dialsStarted
        positions[id] = position
        diallingCount += 1
        if dials.count > 2 * diallingCount + 16 {
            dials = dials.filter { isDialling($0) }
        }
        dials.append(id)
        if timelyDials.count > 2 * timelyDialCount + 16 {
            timelyDials = timelyDials.filter { isDialling($0) }
        }
        timelyDials.append(id)
    }

    /// The dial under way that started last.
    mutating func youngestDial() -> Int? {
        while let id = dials.last {
            if isDialling(id) { return positions[id] }
            dials.removeLast()
        }
        return nil
    }

    /// The oldest dial that is under way and not late.
    mutating func oldestTimelyDial() -> Int? {
        while let id = timelyDials.first {
            if let position = positions[id], slots[position].phase == .dialling { return position }
            timelyDials.removeFirst()
        }
        return nil
    }

    /// The oldest late dial.
    mutating func oldestLateDial() -> Int? {
        while let id = lateDials.first {
            if let position = positions[id], slots[position].phase == .dialling { return position }
            lateDials.removeFirst()
        }
        return nil
    }

    /// How long the dial has been under way.
    func age(of position: Int, now: MonotonicInstant) -> Duration {
        slots[position].dialledAt.duration(to: now)
    }

    /// Makes the first dial late that `oldestTimelyDial` returns.
    mutating func makeOldestDialLate() {
        guard let position = oldestTimelyDial(), let id = timelyDials.popFirst() else { return }
        slots[position].isLate = true
        lateDialCount += 1
        if lateDials.count > 2 * lateDialCount + 16 {
            lateDials = lateDials.filter { isDialling($0) }
        }
        lateDials.append(id)
    }

    private mutating func dialEnded(_ position: Int) {
        diallingCount -= 1
        if slots[position].isLate { lateDialCount -= 1 }
        slots[position].isLate = false
    }

    private func isDialling(_ id: ConnectionID) -> Bool {
        positions[id].map { slots[$0].phase == .dialling } ?? false
    }

    /// Dialling → leased.
    mutating func establish(_ position: Int, _ connection: any HTTPConnection) {
        precondition(slots[position].phase == .dialling)
        slots[position].phase = .leased
        slots[position].connection = connection
        slots[position].lane = lane(for: connection.affinity)
        dialEnded(position)
        if connection.isMultiplexed {
            slots[position].isMultiplexed = true
            slots[position].capacity = connection.capacity
            multiplexedCount += 1
            multiplexed.append(position)
        }
    }

    /// A multiplexed connection in use that can be leased once more.
    var firstActiveWithRoom: Int? { activeWithRoom.first }

    /// Updates the list of connections that have room, after a change of this connection's leases, capacity or phase.
    mutating func noteRoom(_ position: Int) {
        guard slots[position].isMultiplexed else { return }
        let isActiveWithRoom = slots[position].phase == .leased && slots[position].hasRoom
        if let index = activeWithRoom.firstIndex(of: position) {
            if !isActiveWithRoom { activeWithRoom.remove(at: index) }
        } else if isActiveWithRoom {
            activeWithRoom.append(position)
        }
    }

    /// Stops the leases of a connection permanently.
    mutating func retire(_ position: Int, _ reason: CloseReason) {
        guard slots[position].retirement == nil else { return }
        changeLife(of: position) { $0.retirement = reason }
    }

    /// Stops the leases of a connection until `trust`.
    mutating func doubt(_ position: Int) {
        changeLife(of: position) { $0.isDoubted = true }
    }

    mutating func trust(_ position: Int) {
        changeLife(of: position) { $0.isDoubted = false }
    }

    private mutating func changeLife(of position: Int, _ change: (inout ConnectionSlot) -> Void) {
        let wasLive = slots[position].isLive
        change(&slots[position])
        multiplexedCount += (slots[position].isLive ? 1 : 0) - (wasLive ? 1 : 0)
        noteRoom(position)
    }

    /// Idle → leased, without a lease: no request can use the connection now.
    mutating func withdraw(_ position: Int) {
        precondition(slots[position].phase == .idle)
        unlink(position)
        slots[position].phase = .leased
    }

    /// Leased → idle, as the most recently used.
    mutating func park(_ position: Int) {
        precondition(slots[position].phase == .leased)
        slots[position].phase = .idle
        noteRoom(position)
        idleCount += 1

        slots[position].inAll = IdleLinks(newer: -1, older: newest)
        if newest >= 0 {
            slots[newest].inAll.newer = position
        } else {
            oldest = position
        }
        newest = position

        let lane = slots[position].lane
        let older = lanes[lane].newest
        slots[position].inLane = IdleLinks(newer: -1, older: older)
        if older >= 0 {
            slots[older].inLane.newer = position
        }
        lanes[lane].newest = position
    }

    /// Idle → leased. Takes the most recently used connection with this affinity. If there is none, takes the most
    /// recently used of all.
    mutating func takeNewestIdle(affinity: Int?) -> Int? {
        guard newest >= 0 else { return nil }
        var position = newest
        if let affinity, let lane = lanes.first(where: { $0.affinity == affinity }), lane.newest >= 0 {
            position = lane.newest
        }
        unlink(position)
        slots[position].phase = .leased
        return position
    }

    /// Any phase → vacant.
    mutating func remove(_ position: Int) {
        switch slots[position].phase {
        case .idle: unlink(position)
        case .dialling: dialEnded(position)
        case .leased: break
        case .vacant: preconditionFailure("a connection was removed twice")
        }
        positions[slots[position].id] = nil
        slots[position].phase = .vacant
        if slots[position].isMultiplexed {
            if slots[position].isLive { multiplexedCount -= 1 }
            multiplexed.removeAll { $0 == position }
            noteRoom(position)
        }
        slots[position].connection = nil
        vacant.append(position)
    }

    private mutating func unlink(_ position: Int) {
        let inAll = slots[position].inAll
        if inAll.newer >= 0 {
            slots[inAll.newer].inAll.older = inAll.older
        } else {
            newest = inAll.older
        }
        if inAll.older >= 0 {
            slots[inAll.older].inAll.newer = inAll.newer
        } else {
            oldest = inAll.newer
        }

        let inLane = slots[position].inLane
        if inLane.newer >= 0 {
            slots[inLane.newer].inLane.older = inLane.older
        } else {
            lanes[slots[position].lane].newest = inLane.older
        }
        if inLane.older >= 0 {
            slots[inLane.older].inLane.newer = inLane.newer
        }
        idleCount -= 1
    }

    private mutating func lane(for affinity: Int) -> Int {
        if let known = lanes.firstIndex(where: { $0.affinity == affinity }) { return known }
        lanes.append(Lane(affinity: affinity))
        return lanes.count - 1
    }
}
