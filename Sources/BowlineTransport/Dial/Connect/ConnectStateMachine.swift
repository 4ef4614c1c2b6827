internal import BowlineCore

/// Decides to which addresses one dial connects, and when (RFC 8305, "Happy Eyeballs").
///
/// The next states after each input:
///
/// | state | `begin` | `addressesFound` | `lookUpFailed` |
/// |---|---|---|---|
/// | created | connecting, resolving, over | – | – |
/// | resolving | – | connecting, delaying, resolving, over | resolving, over |
/// | delaying | – | connecting | connecting |
/// | connecting | – | connecting | connecting |
/// | over | over | over | over |
///
/// | state | `attemptConnected` | `attemptFailed` | `timerFired` | `cancel` |
/// |---|---|---|---|---|
/// | created | – | – | – | over |
/// | resolving | – | – | resolving | over |
/// | delaying | – | – | connecting | over |
/// | connecting | over | connecting, resolving, over | connecting | over |
/// | over | over | over | over | over |
///
/// - *resolving*: no attempt is open, and there is no untried address. A look-up still runs.
/// - *delaying*: the first address was found, but the look-up of the preferred family still runs. The machine waits for
///   it, at most `resolutionDelay`.
/// - *connecting*: an attempt is open.
/// - *over*: an attempt connected, every look-up and every attempt failed, or the connect was cancelled.
///
/// Inputs that come late are ignored: an attempt that is not open, a timer that is not the current one, and everything in
/// the state `over`. The dash marks an input that the driver never makes.
///
/// The rules:
///
/// 1. If addresses of the preferred family are found first, the first attempt starts at once. If the other family is
///    first, the first attempt starts when the preferred family's look-up has ended, and `resolutionDelay` later at the
///    latest (§3).
/// 2. The families alternate, beginning with the preferred one (§4, "First Address Family Count" 1). Within a family
///    the caller's order holds. Each address is tried once.
/// 3. Addresses that failed recently are tried after the untried good addresses of both families. If only such
///    addresses are found, rule 1 treats them like addresses of the other family: another look-up that still runs may
///    find a better one.
/// 4. While an attempt is open, the next one starts `attemptDelay` after the last start (§5). After a failure it starts
///    at once. If no address is untried then, the next address that a look-up finds starts at once.
/// 5. Addresses that are found late are added to the untried ones, and rules 2 and 3 decide again.
/// 6. At most `maximumOpen` attempts are open. The ninth waits until an attempt fails. The machine does not close an
///    open attempt to make room: "starting a new connection attempt does not affect previous attempts" (§5), and a slow
///    path may still connect. If all eight swallow packets, the dial's limit passes. The next dial tries the ninth
///    address first, because the other eight have failed recently by then.
/// 7. The first attempt that connects wins. All other attempts are closed.
/// 8. When both look-ups have ended and every address has failed, the connect fails.
///
/// The machine knows no limit for the whole connect. The dial has one, and calls `cancel`.
///
/// What a connect costs: nothing on the heap as long as at most one attempt is open and none has failed. The machine
/// keeps the caller's arrays. A timer is set only if there is an untried address that has to wait for it. So one
/// literal address, or a name with one address, needs no timer if the look-ups answer in the order of preference. The
/// second open attempt allocates an array, and so do the first failure and the list of attempts to close.
///
/// The attempts in `ConnectEffects.close` have addresses that may be bad. If an attempt has been open for
/// `attemptDelay` or longer when another attempt wins, or when the dial's limit passes, the driver reports the address
/// as failed. Otherwise each dial would lose `attemptDelay` to the same address.
struct ConnectStateMachine: ~Copyable {
    enum State: String, CaseIterable, Sendable {
        case created, resolving, delaying, connecting, over
    }

    struct AttemptID: Hashable, Sendable {
        let value: Int
    }

    struct TimerID: Hashable, Sendable {
        let value: Int
    }

    /// A connect to one address.
    struct Attempt: Hashable, Sendable {
        let id: AttemptID
        let address: IPAddress
        let began: MonotonicInstant
    }

    /// Where the addresses come from.
    enum Source: Sendable {
        /// The addresses are known: a literal address, or an answer for both families.
        ///
        /// `recentlyFailed`: how many addresses at the end of the list have failed recently.
        case addresses([IPAddress], recentlyFailed: Int = 0)
        /// One look-up for each family runs. Each of them ends with `addressesFound` or `lookUpFailed`.
        case lookUps
    }

    /// How long addresses of the other family wait for the preferred family's look-up (RFC 8305 §8).
    static let resolutionDelay = Duration.milliseconds(50)
    /// The time between the starts of two attempts (RFC 8305 §8).
    static let attemptDelay = Duration.milliseconds(250)
    static let maximumOpen = 8

    private(set) var state = State.created
    private let preferred: IPAddress.Family
    private var ipv4 = ConnectCandidates()
    private var ipv6 = ConnectCandidates()
    private var open = OpenAttempts()
    private var lastFamily: IPAddress.Family?
    private var attemptsMade = 0
    /// No attempt starts before this instant while another attempt is open.
    private var nextStart = MonotonicInstant(nanoseconds: .min)
    /// The current timer; nil: none is set.
    private var timer: TimerID?
    private var timersMade = 0
    private var failure = ConnectFailure()

    /// - Parameter preferred: The family to try first.
    init(preferring preferred: IPAddress.Family = .v6) {
        self.preferred = preferred
    }

    /// Begins the connect. Does nothing if it was cancelled before.
    mutating func begin(_ source: Source, now: MonotonicInstant) -> ConnectEffects {
        guard state != .over else { return ConnectEffects() }
        guard state == .created else { preconditionFailure("a connect is begun once") }
        state = .resolving
        if case .addresses(let addresses, let recentlyFailed) = source {
            ipv4.answer(.v4, addresses, recentlyFailed: recentlyFailed)
            ipv6.answer(.v6, addresses, recentlyFailed: recentlyFailed)
        }
        return proceed(now)
    }

    /// Records the answer of a look-up. Empty: the host has no address of this family. If both look-ups answer at the
    /// same time, report the preferred family first: this saves a timer.
    ///
    /// - Parameter recentlyFailed: How many addresses at the end of `addresses` have failed recently.
    mutating func addressesFound(
        _ family: IPAddress.Family, _ addresses: [IPAddress], recentlyFailed: Int = 0, now: MonotonicInstant
    ) -> ConnectEffects {
        guard isAwaited(family) else { return ConnectEffects() }
        answer(family, addresses, recentlyFailed: recentlyFailed)
        return proceed(now)
    }

    /// Records that a look-up failed.
    mutating func lookUpFailed(
        _ family: IPAddress.Family, _ error: any Error, now: MonotonicInstant
    ) -> ConnectEffects {
        guard isAwaited(family) else { return ConnectEffects() }
        failure.recordLookUp(family, error)
        answer(family, [], recentlyFailed: 0)
        return proceed(now)
    }

    /// Records that an attempt connected. It wins if it is still open.
    mutating func attemptConnected(_ id: AttemptID) -> ConnectEffects {
        guard let winner = open.remove(id) else { return ConnectEffects() }
        var effects = end()
        effects.outcome = .connected(winner)
        return effects
    }

    /// Records that an attempt failed.
    mutating func attemptFailed(
        _ id: AttemptID, _ error: any Error, _ kind: ConnectFailure.Kind, now: MonotonicInstant
    ) -> ConnectEffects {
        guard let attempt = open.remove(id) else { return ConnectEffects() }
        failure.record(attempt.address, error, kind)
        nextStart = now
        return proceed(now)
    }

    /// Records that a timer has fired.
    mutating func timerFired(_ id: TimerID, now: MonotonicInstant) -> ConnectEffects {
        var effects = ConnectEffects()
        guard id == timer else { return effects }
        timer = nil
        if let family = nextFamily { startAttempt(family, now, &effects) }
        return effects
    }

    /// Ends the connect without an outcome, because its dial is over.
    mutating func cancel() -> ConnectEffects {
        end()
    }

    private var areLookUpsOver: Bool { ipv4.isAnswered && ipv6.isAnswered }

    /// Whether the first attempt may start now, or the next one if no attempt is open.
    private var mayStartFirst: Bool {
        attemptsMade > 0 || areLookUpsOver || (preferred == .v4 ? ipv4.hasGood : ipv6.hasGood)
    }

    /// The family of the next address to try; nil: there is no untried address.
    private var nextFamily: IPAddress.Family? {
        let isIPv4Due = lastFamily.map { $0 == .v6 } ?? (preferred == .v4)
        if ipv4.hasGood || ipv6.hasGood {
            return ipv4.hasGood && (isIPv4Due || !ipv6.hasGood) ? .v4 : .v6
        }
        guard ipv4.hasNext || ipv6.hasNext else { return nil }
        return ipv4.hasNext && (isIPv4Due || !ipv6.hasNext) ? .v4 : .v6
    }

    private func isAwaited(_ family: IPAddress.Family) -> Bool {
        guard state != .over, state != .created else { return false }
        return family == .v4 ? !ipv4.isAnswered : !ipv6.isAnswered
    }

    private mutating func answer(_ family: IPAddress.Family, _ addresses: [IPAddress], recentlyFailed: Int) {
        switch family {
        case .v4: ipv4.answer(.v4, addresses, recentlyFailed: recentlyFailed)
        case .v6: ipv6.answer(.v6, addresses, recentlyFailed: recentlyFailed)
        }
    }

    /// Starts an attempt if one is due, or sets the timer for it, or fails if there is nothing to wait for.
    private mutating func proceed(_ now: MonotonicInstant) -> ConnectEffects {
        var effects = ConnectEffects()
        switch nextFamily {
        case let family? where open.isEmpty && mayStartFirst: startAttempt(family, now, &effects)
        case .some where open.isEmpty:
            state = .delaying
            setTimer(now.advanced(by: Self.resolutionDelay), &effects)
        case .some where open.count == Self.maximumOpen: break
        case let family? where nextStart <= now: startAttempt(family, now, &effects)
        case .some where timer == nil: setTimer(nextStart, &effects)
        case .some: break
        case nil where !open.isEmpty: break
        case nil where areLookUpsOver:
            effects = end()
            effects.outcome = .failed(failure)
        case nil: state = .resolving
        }
        return effects
    }

    private mutating func startAttempt(
        _ family: IPAddress.Family, _ now: MonotonicInstant, _ effects: inout ConnectEffects
    ) {
        let address = family == .v4 ? ipv4.take(.v4) : ipv6.take(.v6)
        attemptsMade += 1
        let attempt = Attempt(id: AttemptID(value: attemptsMade), address: address, began: now)
        open.append(attempt)
        state = .connecting
        lastFamily = family
        nextStart = now.advanced(by: Self.attemptDelay)
        effects.connect = attempt
        if nextFamily != nil, open.count < Self.maximumOpen {
            setTimer(nextStart, &effects)
        } else {
            cancelTimer(&effects)
        }
    }

    private mutating func setTimer(_ instant: MonotonicInstant, _ effects: inout ConnectEffects) {
        timersMade += 1
        let id = TimerID(value: timersMade)
        timer = id
        effects.timer = .set(id, at: instant)
    }

    private mutating func cancelTimer(_ effects: inout ConnectEffects) {
        guard timer != nil else { return }
        timer = nil
        effects.timer = .cancel
    }

    private mutating func end() -> ConnectEffects {
        var effects = ConnectEffects()
        state = .over
        effects.close = open.removeAll()
        cancelTimer(&effects)
        return effects
    }
}

/// The open attempts, the oldest first. The oldest is stored inline, so that a single attempt allocates nothing.
private struct OpenAttempts {
    private var oldest: ConnectStateMachine.Attempt?
    private var later: [ConnectStateMachine.Attempt] = []

    var isEmpty: Bool { oldest == nil }
    var count: Int { oldest == nil ? 0 : 1 + later.count }

    mutating func append(_ attempt: ConnectStateMachine.Attempt) {
        if oldest == nil { oldest = attempt } else { later.append(attempt) }
    }

    mutating func remove(_ id: ConnectStateMachine.AttemptID) -> ConnectStateMachine.Attempt? {
        if let attempt = oldest, attempt.id == id {
            oldest = later.isEmpty ? nil : later.removeFirst()
            return attempt
        }
        guard let index = later.firstIndex(where: { $0.id == id }) else { return nil }
        return later.remove(at: index)
    }

    mutating func removeAll() -> [ConnectStateMachine.Attempt] {
        guard let oldest else { return [] }
        defer { self = OpenAttempts() }
        return [oldest] + later
    }
}
