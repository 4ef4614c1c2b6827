package import Logging

/// Bowline's own log lines. Their messages contain no values that may be secrets.
package enum ClientLog {
    /// The logger for lines that must not be lost, used if the user has set no logger.
    package static let logger = Logger(label: "bowline.client")

    /// Returns the logger for a line: the user's logger, or else the calling task's; nil: there is neither. In a task
    /// without a logger, `Logger.current` has an empty label.
    package static func logger(for configured: Logger?) -> Logger? {
        if let configured { return configured }
        let current = Logger.current
        return current.label.isEmpty ? nil : current
    }

    /// Logs warnings about a configuration that is valid but unusual.
    ///
    /// - Parameter logger: The user's logger; nil: the calling task's logger, or Bowline's own if the task has none.
    package static func warn(_ lines: [String], to logger: Logger?) {
        let logger = Self.logger(for: logger) ?? Self.logger
        for line in lines { logger.warning("\(line)") }
    }

    /// Logs that the last copy of a client was released without a shutdown. This is allowed: each connection closes
    /// when it becomes idle.
    package static func releasedWithoutShutdown() {
        logger.debug("client released without shutdown; unused connections close now, others as they finish")
    }
}
