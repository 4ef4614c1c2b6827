internal import BowlineCore

/// The streams of the client's state.
extension ClientLifecycle {
    /// Returns a stream of the client's state. The current state comes first. The stream ends when the client is
    /// closed.
    func progress() -> AsyncStream<ShutdownProgress> {
        AsyncStream(bufferingPolicy: .bufferingNewest(16)) { watcher in
            let (number, progress) = shared.withLock { ($0.watchers.add(watcher), $0.progress) }
            watcher.onTermination = { [weak self] _ in
                self?.shared.withLock { $0.watchers.remove(number) }
            }
            watcher.yield(progress)
            if progress.state == .closed { watcher.finish() }
        }
    }

    /// Sends the current state to every watcher.
    func publishProgress() {
        let (watchers, progress) = shared.withLock { ($0.watchers.all, $0.progress) }
        for watcher in watchers {
            watcher.yield(progress)
            if progress.state == .closed { watcher.finish() }
        }
    }
}
