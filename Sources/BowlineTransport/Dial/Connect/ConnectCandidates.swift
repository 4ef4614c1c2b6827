internal import BowlineCore

/// The addresses of one family for ``ConnectStateMachine``, and how many of them were tried.
///
/// Keeps the caller's array and an index, so that it allocates nothing.
struct ConnectCandidates {
    /// Whether the family's look-up has ended.
    private(set) var isAnswered = false
    private var addresses: [IPAddress] = []
    /// The index of the first address that has failed recently.
    private var doubtful = 0
    /// The index of the next address to try. The addresses before it were tried or skipped.
    private var next = 0

    var hasNext: Bool { next < addresses.count }
    /// Whether the next address has not failed recently.
    var hasGood: Bool { next < doubtful }

    /// Records the look-up's answer. Addresses of the other family and repeated addresses are skipped.
    ///
    /// - Parameter recentlyFailed: How many addresses at the end of `addresses` have failed recently.
    mutating func answer(_ family: IPAddress.Family, _ addresses: [IPAddress], recentlyFailed: Int) {
        isAnswered = true
        self.addresses = addresses
        doubtful = addresses.count - min(max(0, recentlyFailed), addresses.count)
        skipUnusable(family)
    }

    mutating func take(_ family: IPAddress.Family) -> IPAddress {
        let address = addresses[next]
        next += 1
        skipUnusable(family)
        return address
    }

    private mutating func skipUnusable(_ family: IPAddress.Family) {
        while hasNext {
            let address = addresses[next]
            if address.family == family, !addresses[..<next].contains(address) { return }
            next += 1
        }
    }
}
