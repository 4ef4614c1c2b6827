internal import Logging

/// What Bowline says in the log on its own behalf: static messages, no values.
package enum ClientLog {
    private static let logger = Logger(label: "bowline.client")

    /// The last value of a client went away and nobody had shut it down. Legal: connections close as they become
    /// unused.
    package static func releasedWithoutShutdown() {
        logger.debug("client released without shutdown; unused connections close now, others as they finish")
    }
}
