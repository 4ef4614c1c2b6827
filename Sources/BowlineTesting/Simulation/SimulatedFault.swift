public import BowlineCore

/// What goes wrong at replicas of a ``SimulatedService`` for some time.
///
/// Several faults may be in force at once.
public struct SimulatedFault: Sendable, CustomStringConvertible {
    /// When a connection is dropped.
    public enum DropTime: String, Sendable, Hashable, CaseIterable {
        /// Before the work: the request was not executed.
        case beforeWork
        /// After the work: the request was executed, and its answer is lost.
        case afterWork
    }

    enum Kind: Sendable {
        case refused
        case silent
        case failing(share: Double, SimulatedAnswer)
        case slow(factor: Double)
        case dropping(share: Double, DropTime)
        case workers(Int)
    }

    let kind: Kind

    /// The replica is down. It refuses connections: `connectionRefused`, never sent. When the fault begins, the replica
    /// forgets its requests, and they fail with `connectionClosed`, which is ambiguous.
    public static let refused = SimulatedFault(kind: .refused)

    /// No answer comes: requests that arrive are lost, and so are answers that would leave. Only the limits of the
    /// client end such a request.
    public static let silent = SimulatedFault(kind: .silent)

    /// A share of the requests gets an answer with an error at once, without any work.
    ///
    /// - Parameters:
    ///   - share: The share of the requests, from 0 to 1.
    ///   - answer: The answer. Default 503 without fields.
    public static func failing(
        share: Double = 1, _ answer: SimulatedAnswer = SimulatedAnswer(.serviceUnavailable)
    ) -> SimulatedFault {
        SimulatedFault(kind: .failing(share: share.asShare, answer))
    }

    /// Work that begins takes longer.
    ///
    /// - Parameter factor: How many times as long; 0 or more.
    public static func slow(by factor: Double) -> SimulatedFault {
        SimulatedFault(kind: .slow(factor: factor.isFinite ? max(factor, 0) : 1))
    }

    /// A share of the connections is closed without an answer. The requests fail with `connectionClosed`, which is
    /// ambiguous: the client cannot know whether they were executed.
    ///
    /// - Parameters:
    ///   - share: The share of the requests, from 0 to 1.
    ///   - time: When the connection is closed.
    public static func dropping(share: Double = 1, _ time: DropTime) -> SimulatedFault {
        SimulatedFault(kind: .dropping(share: share.asShare, time))
    }

    /// The replica has only this number of workers (a brown-out). Work that has begun goes on.
    public static func workers(_ count: Int) -> SimulatedFault {
        SimulatedFault(kind: .workers(max(count, 0)))
    }

    public var description: String {
        switch kind {
        case .refused: "refused"
        case .silent: "silent"
        case .failing(let share, let answer): "failing(\(share), \(answer.status.code))"
        case .slow(let factor): "slow(\(factor))"
        case .dropping(let share, let time): "dropping(\(share), \(time))"
        case .workers(let count): "workers(\(count))"
        }
    }
}

/// A fault, when it is in force, and where.
struct ScheduledFault: Sendable {
    let fault: SimulatedFault
    let from: MonotonicInstant
    /// nil: for ever.
    let until: MonotonicInstant?
    /// nil: all.
    let replicas: [Int]?

    func isActive(at now: MonotonicInstant, _ replica: Int) -> Bool {
        from <= now && until.map { now < $0 } != false && replicas?.contains(replica) != false
    }
}
