package import Logging

/// What Bowline says in the log on its own behalf: messages without values that may be secrets.
package enum ClientLog {
    /// Where lines go that must not be lost, if nobody has said where.
    package static let logger = Logger(label: "bowline.client")

    /// Where lines go: where the user said, or else to the calling task's logger; nil: nobody has asked for lines. A task without
    /// a logger of its own has one without a label.
    package static func wanted(_ configured: Logger?) -> Logger? {
        if let configured { return configured }
        let current = Logger.current
        return current.label.isEmpty ? nil : current
    }

    /// Says what is odd about a configuration and no error.
    ///
    /// - Parameter logger: Where it goes; nil: to the calling task's logger, and to this one's if it has none.
    package static func warn(_ lines: [String], to logger: Logger?) {
        let logger = wanted(logger) ?? Self.logger
        for line in lines { logger.warning("\(line)") }
    }

    /// The last value of a client went away and nobody had shut it down. Legal: connections close as they become
    /// unused.
    package static func releasedWithoutShutdown() {
        logger.debug("client released without shutdown; unused connections close now, others as they finish")
    }
}
