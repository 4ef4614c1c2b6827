internal import BowlineCore

/// The streams of the client's state.
extension ClientLifecycle {
    /// Returns a stream of the client's state. The current state comes first. The stream ends when the client is
    /// closed.
    func progress() -> AsyncStream<ShutdownProgress> {
        AsyncStream(bufferingPolicy: .bufferingNewest(16)) { subscriber in
            let (number, progress) = shared.withLock { ($0.subscribers.add(subscriber), $0.progress) }
            subscriber.onTermination = { [weak self] _ in
                self?.shared.withLock { $0.subscribers.remove(number) }
            }
            subscriber.yield(progress)
            if progress.state == .closed { subscriber.finish() }
        }
    }

    /// Sends the current state to every subscriber.
    func publishProgress() {
        let (subscribers, progress) = shared.withLock { ($0.subscribers.all, $0.progress) }
        for subscriber in subscribers {
            subscriber.yield(progress)
            if progress.state == .closed { subscriber.finish() }
        }
    }
}
