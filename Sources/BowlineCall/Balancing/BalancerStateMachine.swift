internal import BowlineCore

/// Chooses the endpoint of each attempt, and ejects endpoints that fail. Pure.
///
/// An endpoint is in one of four states:
///
/// | state | input | next state |
/// |---|---|---|
/// | none | endpointsReplaced | healthy |
/// | healthy, failing, ejected, onTrial | endpointsReplaced | none |
/// | healthy | failed | healthy, ejected, failing |
/// | onTrial | failed | ejected, failing |
/// | failing | failed | failing, ejected |
/// | ejected | failed | ejected |
/// | healthy, failing, ejected, onTrial | succeeded | healthy |
/// | ejected | timePassed | onTrial |
/// | ejected | endpointsReplaced | onTrial |
///
/// A failure ejects an endpoint that is on trial, that has now failed `consecutiveFailures` times in a row, or that
/// fails far more often than the other endpoints (``OutcomeCounts/isFarBelow(_:_:)``). If this would eject more than the
/// share `maximumEjected` of the endpoints, the endpoint is `failing` instead. While an endpoint is failing for this
/// reason, or no endpoint is usable, there is *panic*: ejected endpoints get attempts too. A success then ends their
/// ejection. If a new list leaves too many endpoints ejected, the ejections that would end first end at once.
///
/// An ejection lasts `ejection`, and each further one twice as long as the one before, up to `maximumEjection`. Each
/// time that the endpoint has been usable for as long as its last ejection lasted, the next one is halved. Ejections end
/// when the machine is next used after their end: the machine needs no timer.
///
/// After an ejection, and if it joins a list that is in use, an endpoint has a *slow start*: its share of the attempts
/// rises evenly from 1 % to its weight within `slowStart`.
///
/// The machine never looks at a clock: `now` is an argument. If it is earlier than the latest time so far, the latest
/// time is used. The options may differ from call to call, because derived clients share a balancer.
struct BalancerStateMachine {
    private(set) var endpoints: [EndpointRecord] = []
    /// Whether so many endpoints are failing that ejected endpoints get attempts too.
    private(set) var isPanicking = false

    private var nextNumber: UInt64
    private var latest = MonotonicInstant(nanoseconds: .min)
    private var average = AverageLatency()
    /// The attempts of all endpoints that are not ejected.
    private var allCounts = OutcomeCounts()
    /// When the first of the current ejections ends.
    private var nextRestoration = MonotonicInstant.distantFuture

    /// The endpoints to draw from, and the circumstances for which they were listed.
    private var lots = EndpointLots()
    private var lotsExpire = MonotonicInstant(nanoseconds: .min)
    private var lotsZone: String?
    private var choices: UInt64 = 0

    /// - Parameter firstNumber: The number of the first endpoint. Further endpoints get the next numbers.
    init(firstNumber: UInt64 = 1) {
        nextNumber = firstNumber
    }

    /// The endpoint that an attempt was given to, and the changes that the time brought.
    struct Choice {
        /// nil: there is no endpoint with a weight above 0.
        let pass: BalancerPass?
        let changes: [EndpointChange]
    }

    // MARK: Inputs

    /// There is a new list. Endpoints that were in the list before keep their state. Places must not occur twice.
    mutating func endpointsReplaced(
        by listings: [EndpointListing], at now: MonotonicInstant, _ options: BalancingOptions
    ) -> [EndpointChange] {
        let now = moved(to: now)
        var changes = endEjections(at: now)
        let known = Dictionary(endpoints.map { ($0.place, $0) }) { first, _ in first }
        // If no endpoint was in use before, a slow start would slow all of them alike.
        let warmingFrom = endpoints.isEmpty ? nil : now
        endpoints = listings.map { listing in
            guard var record = known[listing.place] else {
                defer { nextNumber &+= 1 }
                return EndpointRecord(listing, number: nextNumber, warmingFrom: warmingFrom)
            }
            record.weight = listing.weight
            record.zone = listing.zone
            return record
        }
        while ejectedCount > mostEjected(options), let index = firstToRestore {
            changes.append(restore(index, at: now))
        }
        changes += settle(options)
        forgetLots()
        return changes
    }

    /// Chooses an endpoint for an attempt. The attempt is in flight until ``attemptEnded(_:_:at:_:)``.
    ///
    /// - Parameters:
    ///   - random: From 0 up to 1.
    ///   - avoided: The numbers of the endpoints that the call has used. They are used again only if there is no other
    ///     endpoint, in any zone.
    mutating func choose(
        at now: MonotonicInstant, random: Double, avoiding avoided: [UInt64] = [], _ options: BalancingOptions
    ) -> Choice {
        let now = moved(to: now)
        var changes = endEjections(at: now)
        if !changes.isEmpty { changes += settle(options) }
        if now >= lotsExpire || lotsZone != options.zone { listLots(at: now, options) }
        choices &+= 1
        let numbers = Self.two(from: random, choices)
        var index: Int?
        if !avoided.isEmpty {
            index = otherLots(than: avoided, at: now, options)
                .draw(of: endpoints, numbers, at: now, average: average.nanoseconds)
        }
        index = index ?? lots.draw(of: endpoints, numbers, at: now, average: average.nanoseconds)
        return Choice(pass: index.map { begin($0, at: now) }, changes: changes)
    }

    /// Gives an attempt to one endpoint. Returns nil if the endpoint is ejected, has the weight 0, or is not in the list.
    mutating func choose(_ number: UInt64, at now: MonotonicInstant) -> BalancerPass? {
        guard let index = endpoints.firstIndex(where: { $0.number == number }) else { return nil }
        guard isEligible(endpoints[index]) else { return nil }
        return begin(index, at: moved(to: now))
    }

    /// An attempt has ended. Results of attempts that began before an ejection, or during one that has ended since, do
    /// not count.
    mutating func attemptEnded(
        _ pass: BalancerPass, _ result: BalancerResult, at now: MonotonicInstant, _ options: BalancingOptions
    ) -> [EndpointChange] {
        let now = moved(to: now)
        var changes = endEjections(at: now)
        var isSettled = changes.isEmpty
        if let index = index(of: pass) {
            endpoints[index].pending = max(0, endpoints[index].pending - 1)
            if endpoints[index].era == pass.era {
                let before = endpoints[index].state
                let more = recorded(index, result, at: now, options)
                if !more.isEmpty { changes += more }
                isSettled = isSettled && endpoints[index].state == before
            }
        }
        if !isSettled { changes += settle(options) }
        return changes
    }

    // MARK: Outcomes

    private mutating func recorded(
        _ index: Int, _ result: BalancerResult, at now: MonotonicInstant, _ options: BalancingOptions
    ) -> [EndpointChange] {
        switch result {
        case .ignored: return []
        case .unfinished(let elapsed):
            endpoints[index].latency.wasCancelled(after: elapsed, at: now, average: average.nanoseconds)
            return []
        case .success(let latency): return succeeded(index, after: latency, at: now)
        case .failure(let latency): return failed(index, after: latency, at: now, options)
        }
    }

    private mutating func succeeded(_ index: Int, after latency: Duration, at now: MonotonicInstant) -> [EndpointChange]
    {
        var changes: [EndpointChange] = []
        // An ejected endpoint gets attempts in panic only.
        if endpoints[index].state == .ejected { changes.append(restore(index, at: now)) }
        average.succeeded(after: latency, at: now)
        endpoints[index].latency.succeeded(after: latency, at: now, average: average.nanoseconds)
        endpoints[index].state = .healthy
        endpoints[index].failuresInRow = 0
        endpoints[index].counts.count(isFailure: false, at: now)
        allCounts.count(isFailure: false, at: now)
        return changes
    }

    private mutating func failed(
        _ index: Int, after latency: Duration, at now: MonotonicInstant, _ options: BalancingOptions
    ) -> [EndpointChange] {
        endpoints[index].latency.failed(after: latency, at: now, average: average.nanoseconds)
        if endpoints[index].failuresInRow < .max { endpoints[index].failuresInRow += 1 }
        endpoints[index].lastFailure = now
        guard endpoints[index].state != .ejected else { return [] }
        endpoints[index].counts.count(isFailure: true, at: now)
        allCounts.count(isFailure: true, at: now)
        guard isToBeEjected(index, at: now, options) else { return [] }
        guard ejectedCount < mostEjected(options) else {
            endpoints[index].state = .failing
            return []
        }
        let length = endpoints[index].eject(at: now, options)
        allCounts.remove(endpoints[index].counts, at: now)
        nextRestoration = min(nextRestoration, endpoints[index].ejectedUntil)
        forgetLots()
        return [.ejected(endpoints[index].place, for: length)]
    }

    private mutating func isToBeEjected(_ index: Int, at now: MonotonicInstant, _ options: BalancingOptions) -> Bool {
        switch endpoints[index].state {
        case .onTrial, .failing: return true
        case .healthy, .ejected: break
        }
        if endpoints[index].failuresInRow >= options.consecutiveFailures { return true }
        let own = endpoints[index].counts.counts(at: now)
        return OutcomeCounts.isFarBelow(own, allCounts.counts(at: now) - own)
    }

    // MARK: Ejections

    private var ejectedCount: Int { endpoints.count { $0.state == .ejected && $0.weight > 0 } }

    /// How many endpoints may be ejected at once.
    private func mostEjected(_ options: BalancingOptions) -> Int {
        let all = Double(endpoints.count { $0.weight > 0 })
        // A small amount more, because 0.3 × 10 is less than 3.
        return Int((min(max(0, options.maximumEjected), 1) * all + 1e-9).rounded(.down))
    }

    /// The endpoint whose ejection ends first.
    private var firstToRestore: Int? {
        endpoints.indices.filter { endpoints[$0].state == .ejected && endpoints[$0].weight > 0 }
            .min { endpoints[$0].ejectedUntil < endpoints[$1].ejectedUntil }
    }

    private mutating func restore(_ index: Int, at now: MonotonicInstant) -> EndpointChange {
        endpoints[index].restore(at: now)
        forgetLots()
        return .restored(endpoints[index].place)
    }

    /// Ends the ejections whose time has passed.
    private mutating func endEjections(at now: MonotonicInstant) -> [EndpointChange] {
        guard now >= nextRestoration else { return [] }
        var changes: [EndpointChange] = []
        nextRestoration = .distantFuture
        for index in endpoints.indices where endpoints[index].state == .ejected {
            if endpoints[index].ejectedUntil <= now {
                changes.append(restore(index, at: now))
            } else {
                nextRestoration = min(nextRestoration, endpoints[index].ejectedUntil)
            }
        }
        return changes
    }

    /// Decides whether there is panic, after a change. Returns the change of it.
    private mutating func settle(_ options: BalancingOptions) -> [EndpointChange] {
        let ejected = ejectedCount
        let failing = endpoints.count { $0.state == .failing && $0.weight > 0 }
        let isPanic =
            ejected > 0 && (ejected + failing > mostEjected(options) || !endpoints.contains(where: \.isUsable))
        guard isPanic != isPanicking else { return [] }
        isPanicking = isPanic
        forgetLots()
        return [.panicChanged(isPanic)]
    }

    // MARK: Choosing

    private func isEligible(_ endpoint: EndpointRecord) -> Bool {
        endpoint.weight > 0 && (isPanicking || endpoint.state != .ejected)
    }

    /// Whether only the endpoints of the program's zone get attempts: at least half of them are usable.
    private func prefersZone(_ options: BalancingOptions) -> Bool {
        guard let zone = options.zone else { return false }
        var (all, usable) = (0, 0)
        for endpoint in endpoints where endpoint.zone == zone && endpoint.weight > 0 {
            all += 1
            if endpoint.isUsable { usable += 1 }
        }
        return all > 0 && usable * 2 >= all
    }

    /// Makes the next choice list the endpoints again.
    private mutating func forgetLots() {
        lotsExpire = MonotonicInstant(nanoseconds: .min)
    }

    /// Lists the endpoints to draw from. While an endpoint is in its slow start, the list is made again 64 times within
    /// the slow start, but at most once in a millisecond.
    private mutating func listLots(at now: MonotonicInstant, _ options: BalancingOptions) {
        lotsZone = options.zone
        lotsExpire = .distantFuture
        lots.removeAll()
        let prefersZone = prefersZone(options)
        for index in endpoints.indices {
            let share = endpoints[index].slowStartShare(at: now, options)
            if share < 1 {
                lotsExpire = now.advanced(by: max(options.slowStart / 64, .milliseconds(1)))
            } else {
                endpoints[index].warmingFrom = nil
            }
            guard isEligible(endpoints[index]), !prefersZone || endpoints[index].zone == options.zone else { continue }
            lots.add(index, share: share * Double(endpoints[index].weight))
        }
    }

    /// Lists the endpoints that the call has not used: of the preferred zone, else of all zones. Empty: there are none.
    private func otherLots(
        than avoided: [UInt64], at now: MonotonicInstant, _ options: BalancingOptions
    ) -> EndpointLots {
        func others(inZone: Bool) -> EndpointLots {
            var lots = EndpointLots()
            for (index, endpoint) in endpoints.enumerated()
            where isEligible(endpoint) && !avoided.contains(endpoint.number)
                && (!inZone || endpoint.zone == options.zone)
            {
                lots.add(index, share: endpoint.slowStartShare(at: now, options) * Double(endpoint.weight))
            }
            return lots
        }
        let preferred = prefersZone(options) ? others(inZone: true) : EndpointLots()
        return preferred.isEmpty ? others(inZone: false) : preferred
    }

    private mutating func begin(_ index: Int, at now: MonotonicInstant) -> BalancerPass {
        endpoints[index].pending += 1
        return BalancerPass(number: endpoints[index].number, era: endpoints[index].era, index: index, began: now)
    }

    /// Returns the place of an attempt's endpoint in the list; nil: a later list does not have it.
    private func index(of pass: BalancerPass) -> Int? {
        if endpoints.indices.contains(pass.index), endpoints[pass.index].number == pass.number { return pass.index }
        return endpoints.firstIndex { $0.number == pass.number }
    }

    private mutating func moved(to now: MonotonicInstant) -> MonotonicInstant {
        latest = max(latest, now)
        return latest
    }

    /// Makes two random numbers from 0 up to 1 from one (SplitMix64). The count of choices keeps a constant source from
    /// choosing the same endpoints each time.
    private static func two(from random: Double, _ count: UInt64) -> (Double, Double) {
        var state = random.bitPattern &+ count &* 0xD1B5_4A32_D192_ED03
        func next() -> Double {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return Double((mixed ^ (mixed >> 31)) >> 11) * 0x1p-53
        }
        return (next(), next())
    }

    // MARK: Facts

    func snapshot(at now: MonotonicInstant, _ options: BalancingOptions) -> [EndpointSnapshot] {
        let now = max(now, latest)
        return endpoints.map { endpoint in
            let nanoseconds = endpoint.latency.nanoseconds(at: now, average: average.nanoseconds)
            let left = max(.zero, now.duration(to: endpoint.ejectedUntil))
            return EndpointSnapshot(
                endpoint: endpoint.place, weight: endpoint.weight, zone: endpoint.zone,
                slowStartShare: endpoint.slowStartShare(at: now, options), inFlight: endpoint.pending,
                latency: endpoint.latency.isUnknown ? nil : .nanoseconds(Int64(min(nanoseconds, 9e18))),
                ejectedFor: endpoint.state == .ejected ? left : nil)
        }
    }
}

/// An attempt that a balancer has given to an endpoint.
struct BalancerPass: Sendable {
    /// The endpoint's number.
    let number: UInt64
    /// The endpoint's era when the attempt began.
    let era: UInt32
    /// The endpoint's place in the list when the attempt began.
    let index: Int
    let began: MonotonicInstant
}

/// The result of an attempt, for its endpoint.
enum BalancerResult: Sendable, Hashable {
    /// A response, and the time until its head arrived.
    case success(after: Duration)
    /// A failure of the endpoint, and the time until it failed.
    case failure(after: Duration)
    /// The attempt was cancelled, or had to wait too long for a connection: it would have taken longer.
    case unfinished(after: Duration)
    /// Says nothing about the endpoint.
    case ignored
}
