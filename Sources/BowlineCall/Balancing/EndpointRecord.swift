internal import BowlineCore

/// An entry of a balancer's list.
struct EndpointListing: Sendable, Hashable {
    let place: BalancedEndpoint
    /// 0 to 1,000,000. With 0, the endpoint gets no attempts.
    var weight = 1
    var zone: String?
}

/// The state of one endpoint in a balancer.
struct EndpointRecord {
    /// The states of ``BalancerStateMachine``'s table.
    enum State: String, Hashable, CaseIterable {
        /// Gets attempts.
        case healthy
        /// Has failed so often that it would be ejected, but too many endpoints are ejected. Gets attempts.
        case failing
        /// Gets no attempts, except in panic.
        case ejected
        /// Its ejection has ended, and no attempt has succeeded since. Gets attempts; the first failure ejects it again.
        case onTrial
    }

    /// Distinguishes this endpoint from all others, also from one with the same place that was in an earlier list.
    let number: UInt64
    let place: BalancedEndpoint
    var weight: Int
    var zone: String?

    var state = State.healthy
    /// Changes with each ejection and each end of an ejection. Results of attempts of an earlier era do not count.
    var era: UInt32 = 0
    /// The attempts in flight.
    var pending = 0
    var latency = PeakLatency()
    var failuresInRow = 0
    /// When the last failure happened.
    var lastFailure = MonotonicInstant(nanoseconds: 0)
    var counts = OutcomeCounts()
    /// When the slow start began; nil: there is none, or it is over.
    var warmingFrom: MonotonicInstant?
    /// The end of the ejection. Only in the state `ejected`.
    var ejectedUntil = MonotonicInstant(nanoseconds: 0)
    /// The length of the last ejection.
    var lastEjection: Duration?
    /// When the last ejection ended.
    var restoredAt = MonotonicInstant(nanoseconds: 0)

    init(_ listing: EndpointListing, number: UInt64, warmingFrom: MonotonicInstant?) {
        self.number = number
        place = listing.place
        weight = listing.weight
        zone = listing.zone
        self.warmingFrom = warmingFrom
    }

    /// Whether the endpoint gets attempts while there is no panic.
    var isUsable: Bool { weight > 0 && state != .ejected }

    /// The smallest share at the beginning of a slow start. Without it, a list of which all endpoints are new would
    /// have no share at all.
    private static let leastShare = 0.01

    /// Returns the share of its weight that the endpoint gets: below 1 during its slow start.
    func slowStartShare(at now: MonotonicInstant, _ options: BalancingOptions) -> Double {
        guard let warmingFrom else { return 1 }
        let whole = Double(options.slowStart.saturatingNanoseconds)
        let elapsed = Double(warmingFrom.duration(to: now).saturatingNanoseconds)
        guard elapsed < whole else { return 1 }
        return max(Self.leastShare, elapsed / whole)
    }

    /// How many times as much an attempt costs if it goes to an endpoint that fails and cannot be ejected.
    private static let penaltyOfFailing = 64.0

    /// Returns how many times as much the endpoint costs because of its failures. Only in panic: otherwise an endpoint
    /// that fails is ejected. It falls to 1 within a minute. Without this, endpoints that fail at once would have few
    /// attempts in flight, and would get most of the attempts.
    private static func penalty(_ state: State, _ lastFailure: MonotonicInstant, at now: MonotonicInstant) -> Double {
        guard state == .failing || state == .ejected else { return 1 }
        return max(1, penaltyOfFailing * PeakLatency.remainder(from: lastFailure, to: now))
    }

    /// Returns the cost of an attempt at one of the endpoints: the latency, times the attempts in flight, more after
    /// failures. Not a method of the endpoint: a call of it would copy the endpoint, with its references.
    ///
    /// - Parameters:
    ///   - perAttempt: How much an attempt in flight counts: the more, the smaller the endpoint's share is.
    ///   - average: The average latency of all endpoints, in nanoseconds.
    static func cost(
        of index: Int, in endpoints: [EndpointRecord], perAttempt: Double, at now: MonotonicInstant, average: Double
    ) -> Double {
        let latency = endpoints[index].latency.nanoseconds(at: now, average: average)
        return latency * penalty(endpoints[index].state, endpoints[index].lastFailure, at: now)
            * (1 + Double(endpoints[index].pending) * perAttempt)
    }

    /// Begins an ejection.
    ///
    /// - Returns: how long it lasts.
    mutating func eject(at now: MonotonicInstant, _ options: BalancingOptions) -> Duration {
        let length = nextEjection(at: now, options)
        state = .ejected
        era &+= 1
        ejectedUntil = now.advanced(by: length)
        lastEjection = length
        return length
    }

    /// Returns the length of an ejection that begins now: twice the last one. Each time that the endpoint has been
    /// usable for as long as its last ejection lasted, the length is halved.
    private func nextEjection(at now: MonotonicInstant, _ options: BalancingOptions) -> Duration {
        let (shortest, longest) = (
            options.ejection.saturatingNanoseconds, options.maximumEjection.saturatingNanoseconds
        )
        guard let last = lastEjection?.saturatingNanoseconds, last > 0 else { return options.ejection }
        let healthy = max(0, restoredAt.duration(to: now).saturatingNanoseconds)
        let (doubled, overflowed) = last.multipliedReportingOverflow(by: 2)
        // A shift by more than the width gives 0.
        let length = (overflowed ? Int64.max : doubled) >> (healthy / max(last, shortest, 1))
        return .nanoseconds(min(max(length, shortest), max(shortest, longest)))
    }

    /// Ends the ejection.
    mutating func restore(at now: MonotonicInstant) {
        state = .onTrial
        era &+= 1
        failuresInRow = 0
        counts = OutcomeCounts()
        latency = PeakLatency()
        restoredAt = now
        warmingFrom = now
    }
}
