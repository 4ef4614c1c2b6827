package import Logging

/// What Bowline says in the log on its own behalf: messages without values that may be secrets.
package enum ClientLog {
    private static let logger = Logger(label: "bowline.client")

    /// Says what is odd about a configuration and no error.
    ///
    /// - Parameter logger: Where it goes; nil: to the calling task's logger, and to this one's if it has none.
    package static func warn(_ lines: [String], to logger: Logger?) {
        let logger = logger ?? (Logger.current.label.isEmpty ? Self.logger : Logger.current)
        for line in lines { logger.warning("\(line)") }
    }

    /// The last value of a client went away and nobody had shut it down. Legal: connections close as they become
    /// unused.
    package static func releasedWithoutShutdown() {
        logger.debug("client released without shutdown; unused connections close now, others as they finish")
    }
}
