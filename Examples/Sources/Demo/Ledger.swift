import Bowline
import Synchronization

/// What the client's side knows about each call.
final class Ledger: Sendable {
    struct Entry: Sendable {
        /// From 1.
        let number: Int
        let request: String
        /// Whether it has a row of its own in the tables.
        let isShown: Bool
        var outcome = "under way"
        var connection: ConnectionFacts?
        var resends = 0
        var isRefused = false
    }

    private let state = Mutex<[Entry]>([])

    var entries: [Entry] { state.withLock { $0 } }

    func begin(_ request: String, isShown: Bool) -> Entry {
        state.withLock { entries in
            let entry = Entry(number: entries.count + 1, request: request, isShown: isShown)
            entries.append(entry)
            return entry
        }
    }

    func end(_ entry: Entry) {
        state.withLock { $0[entry.number - 1] = entry }
    }
}
