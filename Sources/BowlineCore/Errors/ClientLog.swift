package import Logging

/// Bowline's own log lines: messages without values that may be secrets.
package enum ClientLog {
    /// The logger of lines that must not be lost, if the user has set no other.
    package static let logger = Logger(label: "bowline.client")

    /// The logger of a line: the user's, or else the calling task's; nil: there is none. A task without
    /// a logger of its own has one without a label.
    package static func wanted(_ configured: Logger?) -> Logger? {
        if let configured { return configured }
        let current = Logger.current
        return current.label.isEmpty ? nil : current
    }

    /// Logs the oddities of a configuration that are no errors.
    ///
    /// - Parameter logger: Where it goes; nil: to the calling task's logger, and to this one's if it has none.
    package static func warn(_ lines: [String], to logger: Logger?) {
        let logger = wanted(logger) ?? Self.logger
        for line in lines { logger.warning("\(line)") }
    }

    /// The last value of a client was released without a shutdown. Legal: connections close as they become
    /// unused.
    package static func releasedWithoutShutdown() {
        logger.debug("client released without shutdown; unused connections close now, others as they finish")
    }
}
