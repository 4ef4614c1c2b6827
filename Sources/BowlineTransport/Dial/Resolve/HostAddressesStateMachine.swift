internal import BowlineCore

/// Keeps the lists of addresses between which a balancer chooses, by origin, and decides when a host is looked up again.
///
/// A list is *fresh* until its validity ends, and then *due*. The first request that needs a list that is due begins a
/// look-up. Until the look-up has ended, the list is *asking*, and requests use the old addresses. So a slow resolver
/// delays only the first request to an origin.
///
/// | list | input | result | next |
/// |---|---|---|---|
/// | absent | known | absent | absent |
/// | absent | found | nothing | fresh |
/// | absent | gone | nothing | absent |
/// | absent | dialFailed | nothing | absent |
/// | absent | dialFailedSoon | nothing | absent |
/// | absent | validityEnded | nothing | absent |
/// | fresh | known | use | fresh |
/// | fresh | found | nothing | fresh |
/// | fresh | gone | nothing | absent |
/// | fresh | dialFailed | nothing | due |
/// | fresh | dialFailedSoon | nothing | fresh |
/// | fresh | validityEnded | nothing | due |
/// | due | known | renew | asking |
/// | due | found | nothing | fresh |
/// | due | gone | nothing | absent |
/// | due | dialFailed | nothing | due |
/// | due | dialFailedSoon | nothing | due |
/// | due | validityEnded | nothing | due |
/// | asking | known | use | asking |
/// | asking | found | nothing | fresh |
/// | asking | gone | nothing | absent |
/// | asking | dialFailed | nothing | asking |
/// | asking | dialFailedSoon | nothing | asking |
/// | asking | validityEnded | nothing | asking |
///
/// `dialFailedSoon`: less than `Limits.pause` after the list was found. Then the list is due when the pause is over. Of
/// more than `Limits.maximumOrigins` lists, the machine drops the least recently used.
struct HostAddressesStateMachine: ~Copyable {
    struct Limits {
        /// How many lists are kept.
        var maximumOrigins = 1000
        /// The shortest time between two look-ups of an origin whose dials fail, and of an origin whose resolver gives
        /// no answer that the client may keep.
        var pause = Duration.seconds(5)
    }

    /// The caller's next action for a request that needs the addresses of an origin.
    enum Known: Sendable, Equatable {
        /// Look the host up, and wait for the answer.
        case absent
        case use([IPAddress])
        /// Use these, and look the host up meanwhile. Then call `found` or `gone`.
        case renew([IPAddress])
    }

    enum ListState: String, Sendable, CaseIterable {
        case absent, fresh, due, asking
    }

    private struct List {
        let addresses: [IPAddress]
        let found: MonotonicInstant
        var freshUntil: MonotonicInstant
        /// Whether a look-up runs that `known` has asked for.
        var isAsking = false
        var lastUse: Int

        func state(at now: MonotonicInstant) -> ListState {
            isAsking ? .asking : now < freshUntil ? .fresh : .due
        }
    }

    private let limits: Limits
    private var lists: [Origin: List] = [:]
    private var uses = 0

    var count: Int { lists.count }

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Returns the addresses that a request may use.
    mutating func known(_ origin: Origin, now: MonotonicInstant) -> Known {
        guard let index = lists.index(forKey: origin) else { return .absent }
        uses += 1
        lists.values[index].lastUse = uses
        guard lists.values[index].state(at: now) == .due else { return .use(lists.values[index].addresses) }
        lists.values[index].isAsking = true
        return .renew(lists.values[index].addresses)
    }

    /// Records the addresses that were found.
    ///
    /// - Parameter freshUntil: When the validity of the resolver's answers ends; nil: an answer is missing or may not
    ///   be kept, so that the list is due after the pause.
    mutating func found(
        _ origin: Origin, _ addresses: [IPAddress], freshUntil: MonotonicInstant?, now: MonotonicInstant
    ) {
        uses += 1
        lists[origin] = List(
            addresses: addresses, found: now, freshUntil: freshUntil ?? now.advanced(by: limits.pause), lastUse: uses)
        guard lists.count > limits.maximumOrigins else { return }
        // Slow, but only a client of very many hosts comes here, and only after a look-up.
        if let oldest = lists.min(by: { $0.value.lastUse < $1.value.lastUse }) { lists[oldest.key] = nil }
    }

    /// Records that the origin's host has no addresses any more.
    mutating func gone(_ origin: Origin) {
        lists[origin] = nil
    }

    /// Records that a dial to one of the origin's addresses failed: the host may have other addresses now.
    mutating func dialFailed(_ origin: Origin, now: MonotonicInstant) {
        guard let list = lists[origin], !list.isAsking else { return }
        lists[origin]?.freshUntil = min(list.freshUntil, max(now, list.found.advanced(by: limits.pause)))
    }

    func state(of origin: Origin, now: MonotonicInstant) -> ListState {
        lists[origin]?.state(at: now) ?? .absent
    }
}
