internal import BowlineCore

/// The attempts that wait for the concurrency limit: one FIFO queue for each priority.
///
/// All operations take constant time, the removal from the middle included: each queue is a doubly linked list over one
/// array. An empty queue has allocated nothing, or keeps the storage of a few places.
struct AttemptQueue {
    typealias Ticket = ConcurrencyStateMachine.Ticket

    struct Waiting {
        let ticket: Ticket
        let priority: RequestPriority
        /// The attempt is not admitted at this time or later.
        let until: MonotonicInstant
    }

    private struct Place {
        var waiting: Waiting
        var previous: Int
        var next: Int
    }

    /// The ends of one list.
    private struct Ends {
        var first = AttemptQueue.none
        var last = AttemptQueue.none
        var count = 0
    }

    private static let none = -1
    /// An empty queue with more places than this releases its storage.
    private static let keptPlaces = 64

    private var places: [Place] = []
    /// The first free place. The others follow by their `next`.
    private var free = none
    private var indices: [Ticket: Int] = [:]
    private var sheddable = Ends()
    private var normal = Ends()
    private var critical = Ends()

    var isEmpty: Bool { indices.isEmpty }

    var count: Int { sheddable.count + normal.count + critical.count }

    /// How many attempts with this or a higher priority wait.
    func count(from priority: RequestPriority) -> Int {
        switch priority {
        case .sheddable: count
        case .normal: normal.count + critical.count
        case .critical: critical.count
        }
    }

    /// The attempt that is served next: the oldest of the highest priority.
    var first: Waiting? {
        let index =
            critical.count > 0 ? critical.first : normal.count > 0 ? normal.first : sheddable.first
        return index == Self.none ? nil : places[index].waiting
    }

    /// The attempt that is served last: the newest of the lowest priority.
    var last: Waiting? {
        let index =
            sheddable.count > 0 ? sheddable.last : normal.count > 0 ? normal.last : critical.last
        return index == Self.none ? nil : places[index].waiting
    }

    /// Adds an attempt behind the others with its priority. A ticket that waits already is not added again.
    mutating func append(_ waiting: Waiting) {
        guard indices[waiting.ticket] == nil else { return }
        var ends = self[waiting.priority]
        let place = Place(waiting: waiting, previous: ends.last, next: Self.none)
        let index: Int
        if free == Self.none {
            index = places.count
            places.append(place)
        } else {
            index = free
            free = places[index].next
            places[index] = place
        }
        if ends.last == Self.none { ends.first = index } else { places[ends.last].next = index }
        ends.last = index
        ends.count += 1
        self[waiting.priority] = ends
        indices[waiting.ticket] = index
    }

    /// Removes an attempt.
    ///
    /// - Returns: Whether it was in the queue.
    @discardableResult
    mutating func remove(_ ticket: Ticket) -> Bool {
        guard let index = indices.removeValue(forKey: ticket) else { return false }
        let place = places[index]
        var ends = self[place.waiting.priority]
        if place.previous == Self.none { ends.first = place.next } else { places[place.previous].next = place.next }
        if place.next == Self.none { ends.last = place.previous } else { places[place.next].previous = place.previous }
        ends.count -= 1
        self[place.waiting.priority] = ends
        places[index].next = free
        free = index
        if indices.isEmpty, places.count > Self.keptPlaces { self = AttemptQueue() }
        return true
    }

    private subscript(priority: RequestPriority) -> Ends {
        get {
            switch priority {
            case .sheddable: sheddable
            case .normal: normal
            case .critical: critical
            }
        }
        set {
            switch priority {
            case .sheddable: sheddable = newValue
            case .normal: normal = newValue
            case .critical: critical = newValue
            }
        }
    }
}
