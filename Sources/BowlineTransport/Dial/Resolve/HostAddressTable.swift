internal import BowlineCore

/// The addresses between which a balancer chooses, by origin, and when the client looks them up again.
///
/// The client uses a list until a newer one is there. So a slow resolver delays only the first request to an origin. The
/// transitions of a list:
///
/// | list | `known` | `found` | `gone` | `dialFailed` | its validity ends |
/// |---|---|---|---|---|---|
/// | absent | absent | fresh | absent | absent | – |
/// | fresh | fresh: use it | fresh | absent | due, after the pause | due |
/// | due | asking: use it, and look the host up | fresh | absent | due | – |
/// | asking | asking: use it | fresh | absent | asking | – |
///
/// Of more than `Limits.maximumOrigins` lists, the table drops the least recently used.
struct HostAddressTable {
    struct Limits {
        var maximumOrigins = 1000
        /// The shortest time between two look-ups of an origin whose dials fail, or whose resolver gives no answer that
        /// the client may keep.
        var pause = Duration.seconds(5)
    }

    /// What a request does that needs the addresses of an origin.
    enum Known: Sendable, Equatable {
        /// Look the host up and wait for the answer.
        case absent
        case use([IPAddress])
        /// Use these, and look the host up meanwhile. Then call `found` or `gone`.
        case renew([IPAddress])
    }

    private struct List {
        var addresses: [IPAddress]
        var found: MonotonicInstant
        var freshUntil: MonotonicInstant
        /// Whether a look-up runs that `known` has asked for.
        var isAsking = false
        var lastUse: Int
    }

    private let limits: Limits
    private var lists: [Origin: List] = [:]
    private var uses = 0

    var count: Int { lists.count }

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    mutating func known(_ origin: Origin, now: MonotonicInstant) -> Known {
        guard let index = lists.index(forKey: origin) else { return .absent }
        uses += 1
        lists.values[index].lastUse = uses
        let list = lists.values[index]
        guard now >= list.freshUntil, !list.isAsking else { return .use(list.addresses) }
        lists.values[index].isAsking = true
        return .renew(list.addresses)
    }

    /// Records the addresses that were found.
    ///
    /// - Parameter freshUntil: Until when the resolver's answers are valid; nil: the client must ask again soon.
    mutating func found(
        _ origin: Origin, _ addresses: [IPAddress], freshUntil: MonotonicInstant?, now: MonotonicInstant
    ) {
        uses += 1
        lists[origin] = List(
            addresses: addresses, found: now, freshUntil: freshUntil ?? now.advanced(by: limits.pause), lastUse: uses)
        guard lists.count > limits.maximumOrigins else { return }
        if let oldest = lists.min(by: { $0.value.lastUse < $1.value.lastUse }) { lists[oldest.key] = nil }
    }

    /// Records that the origin's host has no addresses any more.
    mutating func gone(_ origin: Origin) {
        lists[origin] = nil
    }

    /// Records that a dial to one of the addresses failed: the host may have other addresses now.
    mutating func dialFailed(_ origin: Origin, now: MonotonicInstant) {
        guard let list = lists[origin], !list.isAsking else { return }
        lists[origin]?.freshUntil = min(list.freshUntil, max(now, list.found.advanced(by: limits.pause)))
    }

    /// Returns the addresses that the table has; nil: it has no list.
    func addresses(of origin: Origin) -> [IPAddress]? { lists[origin]?.addresses }
}
