import BowlineCore

@testable import BowlineTransport

/// Takes the place of a connection's pool, and notes what the connection tells it.
final class RecordingOwner: ConnectionOwner {
    private let log = Guarded<[String]>([])

    /// The connection's calls in order, for example `closed` with its reason.
    var notes: [String] { log.withLock { $0 } }

    func contains(_ entry: String) -> Bool {
        notes.contains(entry)
    }

    /// The notes since this was last asked.
    func take() -> [String] {
        log.withLock { log in
            defer { log = [] }
            return log
        }
    }

    func note(_ entry: String) {
        log.withLock { $0.append(entry) }
    }

    func release(_ connection: any HTTPConnection, keepAliveTimeout: Duration?, now: MonotonicInstant?) {
        note("released")
    }

    func returnUnused(_ connection: any HTTPConnection) {
        note("returned unused")
    }

    func connectionClosed(_ id: ConnectionID, reason: CloseReason) {
        note("closed \(reason.rawValue)")
    }

    func connectionCapacityChanged(_ id: ConnectionID, to capacity: Int) {
        note("capacity \(capacity)")
    }

    func connectionRetired(_ id: ConnectionID, reason: CloseReason) {
        note("retired \(reason.rawValue)")
    }

    func connectionDoubted(_ id: ConnectionID) {
        note("doubted")
    }

    func connectionConfirmed(_ id: ConnectionID) {
        note("confirmed")
    }
}
