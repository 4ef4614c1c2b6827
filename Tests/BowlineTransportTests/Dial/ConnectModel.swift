import BowlineCore

@testable import BowlineTransport

/// The rules of a connect as lists, for the comparison with the machine. Instants are milliseconds.
struct ConnectModel {
    enum Event {
        case began([IPAddress]?, recentlyFailed: Int)
        /// The answer of a look-up; a failed one has no address.
        case answered(IPAddress.Family, [IPAddress], recentlyFailed: Int)
        case connected(IPAddress)
        case failed(IPAddress)
        case timerFired
        case cancelled
    }

    enum Outcome: Equatable {
        case connected(IPAddress)
        case failed
    }

    /// What must be the case after an event.
    struct Expectation: Equatable {
        var connect: IPAddress?
        var close: [IPAddress] = []
        /// When the timer fires that is set after the event; nil: none is set.
        var timer: Int?
        var outcome: Outcome?
    }

    private struct Untried {
        var good: [IPAddress] = []
        var doubtful: [IPAddress] = []
    }

    let preferred: IPAddress.Family
    private var untried: [IPAddress.Family: Untried] = [.v4: Untried(), .v6: Untried()]
    private var answered: Set<IPAddress.Family> = []
    private var tried: [IPAddress] = []
    private(set) var open: [IPAddress] = []
    private(set) var lastStart = 0
    /// When the first attempt starts at the latest; nil: there was no address yet.
    private var delayEnds: Int?
    /// Whether an attempt has failed since the last start.
    private(set) var hasFailure = false
    private(set) var isOver = false

    init(preferring preferred: IPAddress.Family) {
        self.preferred = preferred
    }

    var isExhausted: Bool { next == nil && answered.count == 2 }
    var hasUntried: Bool { next != nil }

    mutating func expect(_ event: Event, at now: Int) -> Expectation {
        guard !isOver else { return Expectation() }
        switch event {
        case .began(let addresses?, let recentlyFailed):
            for family in [IPAddress.Family.v4, .v6] { answer(family, addresses, recentlyFailed) }
        case .began(nil, _), .timerFired: break
        case .answered(let family, let addresses, let recentlyFailed): answer(family, addresses, recentlyFailed)
        case .connected(let winner):
            isOver = true
            return Expectation(close: open.filter { $0 != winner }, outcome: .connected(winner))
        case .failed(let address):
            open.removeAll { $0 == address }
            hasFailure = true
        case .cancelled:
            isOver = true
            return Expectation(close: open)
        }
        return settle(now)
    }

    private mutating func answer(_ family: IPAddress.Family, _ addresses: [IPAddress], _ recentlyFailed: Int) {
        answered.insert(family)
        var seen: Set<IPAddress> = []
        for (index, address) in addresses.enumerated() where address.family == family {
            guard seen.insert(address).inserted else { continue }
            if index < addresses.count - recentlyFailed {
                untried[family]?.good.append(address)
            } else {
                untried[family]?.doubtful.append(address)
            }
        }
    }

    /// The next address, by the rules alone: a good one before others, then the family whose turn it is.
    private var next: IPAddress? {
        let other: [IPAddress.Family: IPAddress.Family] = [.v4: .v6, .v6: .v4]
        let due = tried.last.flatMap { other[$0.family] } ?? preferred
        let order = [due, due == .v4 ? .v6 : .v4].compactMap { untried[$0] }
        return order.compactMap(\.good.first).first ?? order.compactMap(\.doubtful.first).first
    }

    /// When the next attempt starts if nothing happens before; nil: it waits for an event.
    private func due(_ next: IPAddress, _ now: Int) -> Int? {
        if !open.isEmpty {
            if open.count == 8 { return nil }
            return hasFailure ? now : lastStart + 250
        }
        let isPreferred = next.family == preferred && untried[preferred]?.good.first == next
        return !tried.isEmpty || answered.count == 2 || isPreferred ? now : delayEnds ?? now + 50
    }

    private mutating func settle(_ now: Int) -> Expectation {
        var expected = Expectation()
        guard let first = next else {
            if open.isEmpty, answered.count == 2 {
                isOver = true
                expected.outcome = .failed
            }
            return expected
        }
        guard let instant = due(first, now) else { return expected }
        guard instant <= now else {
            if open.isEmpty { delayEnds = instant }
            return Expectation(timer: instant)
        }
        expected.connect = first
        start(first, now)
        expected.timer = next.flatMap { due($0, now) }
        return expected
    }

    private mutating func start(_ address: IPAddress, _ now: Int) {
        untried[address.family]?.good.removeAll { $0 == address }
        untried[address.family]?.doubtful.removeAll { $0 == address }
        tried.append(address)
        open.append(address)
        lastStart = now
        hasFailure = false
    }
}
