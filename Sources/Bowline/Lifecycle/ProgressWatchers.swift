/// The streams of ``ServiceClient/shutdownProgress`` that are being read.
///
/// Only stores the watchers. The lock of ``ClientLifecycle`` guards this storage. The watchers in ``all`` get their
/// values after the unlock.
struct ProgressWatchers {
    typealias Watcher = AsyncStream<ShutdownProgress>.Continuation

    private var watchers: [Int: Watcher] = [:]
    private var numbersMade = 0

    var all: [Watcher] { Array(watchers.values) }

    /// Adds a watcher. Returns its number for ``remove(_:)``.
    mutating func add(_ watcher: Watcher) -> Int {
        numbersMade += 1
        watchers[numbersMade] = watcher
        return numbersMade
    }

    mutating func remove(_ number: Int) {
        watchers[number] = nil
    }
}
