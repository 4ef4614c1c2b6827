internal import BowlineCore

/// Decides when the hedges of one attempt begin, and which outcome counts. Pure. ``HedgedAttempts`` carries out its
/// steps.
///
/// A *round* is the first attempt and its hedges. Attempt 1 is the first attempt, attempt 2 the first hedge. The first
/// acceptable response ends the round, and the other attempts are cancelled. Without an acceptable response the round
/// ends when the last attempt in flight has ended. Then the outcome with the most information counts: a response
/// before a failure, among failures the one with the furthest progress, then the refusal of a gate, then an error that
/// ends the call. Of two equal outcomes the later one counts. After the caller's cancellation an error that ends the call
/// comes first, because this is the cancellation.
///
/// | state | input | step | next state |
/// |---|---|---|---|
/// | ready | began | start | armed |
/// | ready | began | start | unarmed |
/// | armed | hedgeDelayPassed | withdraw | asking |
/// | armed | hedgeDelayPassed | arm | armed |
/// | armed | hedgeDelayPassed | nothing | unarmed |
/// | armed | drainBegan | nothing | unarmed |
/// | armed | cancelled | nothing | cancelled |
/// | armed | attemptEnded | keep | armed |
/// | armed | attemptEnded | drop | armed |
/// | armed | attemptEnded | finish | ended |
/// | asking | budgetGranted | start | armed |
/// | asking | budgetGranted | start | unarmed |
/// | asking | budgetRefused | nothing | unarmed |
/// | unarmed | cancelled | nothing | cancelled |
/// | unarmed | attemptEnded | keep | unarmed |
/// | unarmed | attemptEnded | drop | unarmed |
/// | unarmed | attemptEnded | finish | ended |
/// | cancelled | attemptEnded | keep | cancelled |
/// | cancelled | attemptEnded | drop | cancelled |
/// | cancelled | attemptEnded | finish | ended |
/// | ended | attemptEnded | drop | ended |
///
/// In a state that is not in the table for an input, the input changes nothing.
struct HedgingStateMachine: ~Copyable {
    /// The next action of the driver.
    enum Step: Equatable {
        /// Sends the attempt with this number. If `nextHedge` is not nil, sets the timer to it. Answers:
        /// ``hedgeDelayPassed(at:isWaiting:)`` and ``attemptEnded(_:_:)``.
        case start(Int, nextHedge: MonotonicInstant?)
        /// Sets the timer to this instant.
        case arm(MonotonicInstant)
        /// Takes a retry from the origin's budget. Answer: ``budgetGranted(at:)`` or ``budgetRefused()``.
        case withdraw
        /// Keeps the outcome of the attempt that has ended, and discards the outcome that was kept before.
        case keep
        /// Discards the outcome of the attempt that has ended.
        case drop
        /// Ends the round with the outcome of this attempt, and cancels the attempts in flight.
        case finish(Int, cancel: AttemptSet)
        case nothing
    }

    enum State: Hashable, CaseIterable {
        case ready
        /// Attempts are in flight, and the timer is set.
        case armed
        /// Attempts are in flight, and the driver asks the budget for a hedge.
        case asking
        /// Attempts are in flight, and no further hedge begins.
        case unarmed
        /// The caller was cancelled. The attempts in flight end.
        case cancelled
        case ended
    }

    /// How an attempt ended.
    enum Ending: Hashable {
        /// A response whose status is not in `retry.statuses`.
        case acceptable
        /// A response whose status is in `retry.statuses`.
        case retryable
        case failed(RequestProgress)
        /// A gate refused the attempt.
        case unadmitted
        /// An error that ends the call: a cancellation, or an error of another type that middleware threw. `wasSent`:
        /// whether the attempt reached the transport.
        case ended(wasSent: Bool)
    }

    /// The most attempts of a round.
    static let maximumAttempts = 11

    private(set) var state = State.ready
    /// The number of attempts that have begun.
    private(set) var started = 0
    private(set) var inFlight = AttemptSet()
    /// The furthest progress of all attempts that have ended. The service may have acted on any of them.
    private(set) var furthest = RequestProgress.neverSent
    /// The attempt whose outcome counts so far.
    private var best: (attempt: Int, ending: Ending)?
    private let delay: Duration
    private let maximumHedges: Int
    private let deadline: MonotonicInstant

    /// - Parameters:
    ///   - delay: How long the newest attempt runs before a hedge begins.
    ///   - maximumHedges: How many hedges may begin; 0 to 10, else the nearest of these.
    ///   - deadline: No hedge begins at this instant or later; nil: no limit.
    init(delay: Duration, maximumHedges: Int, deadline: MonotonicInstant?) {
        self.delay = max(delay, .zero)
        self.maximumHedges = min(max(maximumHedges, 0), Self.maximumAttempts - 1)
        self.deadline = deadline ?? .distantFuture
    }

    // MARK: Inputs

    /// The round begins.
    mutating func began(at now: MonotonicInstant) -> Step {
        guard state == .ready else { return .nothing }
        return start(at: now)
    }

    /// The timer's instant was reached.
    ///
    /// - Parameter isWaiting: Whether the newest attempt still waits within the client, for a gate, for credentials or
    ///   for a free connection. A hedge would wait for the same, so it is put off.
    mutating func hedgeDelayPassed(at now: MonotonicInstant, isWaiting: Bool) -> Step {
        guard state == .armed else { return .nothing }
        guard now < deadline else { return disarm() }
        guard isWaiting else {
            state = .asking
            return .withdraw
        }
        return nextHedge(after: now).map { .arm($0) } ?? disarm()
    }

    /// The budget has granted a hedge.
    mutating func budgetGranted(at now: MonotonicInstant) -> Step {
        guard state == .asking else { return .nothing }
        return start(at: now)
    }

    /// The budget has refused a hedge. No further hedge begins.
    mutating func budgetRefused() -> Step {
        guard state == .asking else { return .nothing }
        return disarm()
    }

    /// The client has begun to shut down. No further hedge begins.
    mutating func drainBegan() -> Step {
        guard state == .armed else { return .nothing }
        return disarm()
    }

    /// The caller was cancelled, and with it each attempt in flight.
    mutating func cancelled() -> Step {
        if state == .armed || state == .unarmed { state = .cancelled }
        return .nothing
    }

    /// An attempt has ended.
    mutating func attemptEnded(_ attempt: Int, _ ending: Ending) -> Step {
        guard state != .ended, inFlight.remove(attempt) else { return .drop }
        furthest = furthest.furthest(ending.progress)
        if ending == .acceptable { return finish(attempt) }
        let isBest = best.map { rank(ending) >= rank($0.ending) } ?? true
        if isBest { best = (attempt, ending) }
        if inFlight.isEmpty, let best { return finish(best.attempt) }
        return isBest ? .keep : .drop
    }

    // MARK: Decisions

    private mutating func start(at now: MonotonicInstant) -> Step {
        started += 1
        inFlight.insert(started)
        let next = started <= maximumHedges ? nextHedge(after: now) : nil
        state = next == nil ? .unarmed : .armed
        return .start(started, nextHedge: next)
    }

    /// Returns when the next hedge may begin; nil: not before the deadline.
    private func nextHedge(after now: MonotonicInstant) -> MonotonicInstant? {
        let next = now.advanced(by: delay)
        return next < deadline ? next : nil
    }

    private mutating func disarm() -> Step {
        state = .unarmed
        return .nothing
    }

    private mutating func finish(_ attempt: Int) -> Step {
        state = .ended
        return .finish(attempt, cancel: inFlight)
    }

    /// The information in an outcome; see the type's documentation.
    private func rank(_ ending: Ending) -> Int {
        switch ending {
        case .acceptable: 6
        case .ended: state == .cancelled ? 5 : -2
        case .retryable: 4
        case .failed(.responseStarted): 3
        case .failed(.ambiguous): 2
        case .failed(.refused): 1
        case .failed(.neverSent): 0
        case .unadmitted: -1
        }
    }
}

extension HedgingStateMachine.Ending {
    /// How far the attempt got, as far as its end says.
    fileprivate var progress: RequestProgress {
        switch self {
        case .acceptable, .retryable: .responseStarted
        case .failed(let progress): progress
        case .ended(let wasSent): wasSent ? .ambiguous : .neverSent
        case .unadmitted: .neverSent
        }
    }
}

/// Numbers of attempts of a round, from 1. A value in one word.
struct AttemptSet: Hashable, Sendable {
    private var bits: UInt32 = 0

    var isEmpty: Bool { bits == 0 }
    var count: Int { bits.nonzeroBitCount }

    func contains(_ attempt: Int) -> Bool { bits & Self.bit(attempt) != 0 }

    mutating func insert(_ attempt: Int) { bits |= Self.bit(attempt) }

    /// Removes an attempt. Returns false if it was not in the set.
    mutating func remove(_ attempt: Int) -> Bool {
        defer { bits &= ~Self.bit(attempt) }
        return contains(attempt)
    }

    /// The bit of an attempt; 0 for a number that no round has. A shift by too many bits gives 0.
    private static func bit(_ attempt: Int) -> UInt32 { attempt > 0 ? 1 << attempt : 0 }
}
