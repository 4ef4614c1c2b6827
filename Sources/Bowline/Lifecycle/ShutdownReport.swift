public import BowlineCore
internal import Logging

/// The report of a client's shutdown.
public struct ShutdownReport: Sendable {
    /// A call that was still in flight at the deadline.
    public struct ForcedCall: Sendable {
        /// The call's method.
        public let method: String
        /// The template of the call's target, or the path without the query.
        public let target: String
        /// The call's phase.
        public let phase: RequestPhase
        /// The number of the current attempt, from 1.
        public let attempt: Int
        /// How long the call had been in flight.
        public let age: Duration
        /// Whether a log may contain ``target``: it is a template, or the user wants paths in errors.
        let isTargetNamed: Bool
    }

    /// The number of calls that ended between the beginning of the shutdown and its deadline.
    public let drained: Int
    /// The calls that were cut off at the deadline.
    public let forced: [ForcedCall]
    /// How many connections were closed since the shutdown began.
    public let connectionsClosed: Int
    /// How long the shutdown took, from the first call of `shutdown`.
    public let duration: Duration

    /// Whether no call was cut off.
    public var isClean: Bool { forced.isEmpty }
}

extension ShutdownReport {
    /// Logs one line, at `info`, or at `warning` if calls were cut off. Without a logger, `info` is not logged, and
    /// `warning` goes to Bowline's own logger (`ClientLog.logger`): calls were lost, and the caller may ignore the
    /// report.
    ///
    /// - Returns: whether there was a logger to write to.
    @discardableResult
    func write(to logger: Logger?) -> Bool {
        guard let logger = logger ?? (isClean ? nil : ClientLog.logger) else { return false }
        logger.log(
            level: isClean ? .info : .warning,
            "shut down, \(text { $0.isTargetNamed ? "\($0.method) \($0.target)" : $0.method })",
            metadata: [
                "bowline.shutdown.drained": "\(drained)", "bowline.shutdown.forced": "\(forced.count)",
                "bowline.shutdown.connections_closed": "\(connectionsClosed)",
                "bowline.shutdown.duration": "\(duration.logText)",
            ])
        return true
    }
}

extension ShutdownReport: CustomStringConvertible {
    /// How the calls ended, in one line.
    public var description: String { text { "\($0.method) \($0.target)" } }

    private func text(_ name: (ForcedCall) -> String) -> String {
        let cut = forced.map { "\(name($0)) (\($0.phase), attempt \($0.attempt))" }
        return "\(isClean ? "clean" : "not clean"): \(drained) drained, \(forced.count) forced"
            + (cut.isEmpty ? "" : " [\(cut.prefix(8).joined(separator: ", "))\(cut.count > 8 ? ", …" : "")]")
            + ", \(connectionsClosed) connections closed, \(duration.messageText)"
    }
}

/// A client's state from running to closed, and its calls in flight.
public struct ShutdownProgress: Sendable, Hashable {
    /// The client's state.
    public enum State: Sendable, Hashable {
        /// Requests are admitted.
        case running
        /// New requests are refused; requests in flight go on until the deadline.
        case draining
        /// Connections are being closed; requests that were still in flight were cut off.
        case closing
        /// Everything is closed.
        case closed
    }

    /// The client's state.
    public let state: State
    /// Calls in flight.
    public let inFlight: Int
}
