internal import BowlineCore

/// The streams of the client's state.
extension ClientLifecycle {
    /// Returns a stream of the client's state. The current state comes first. The stream ends when the client is
    /// closed.
    func progress() -> AsyncStream<ShutdownProgress> {
        AsyncStream(bufferingPolicy: .bufferingNewest(16)) { subscriber in
            let (number, isClosed) = shared.withLock { shared in
                subscriber.yield(shared.progress)
                return (shared.subscribers.add(subscriber), shared.progress.state == .closed)
            }
            subscriber.onTermination = { [weak self] _ in
                self?.shared.withLock { $0.subscribers.remove(number) }
            }
            if isClosed { subscriber.finish() }
        }
    }

    /// Sends the current state to every subscriber.
    func publishProgress() {
        let closed = shared.withLock { shared -> [ProgressSubscribers.Subscriber] in
            shared.publishProgress()
            return shared.progress.state == .closed ? shared.subscribers.all : []
        }
        // Outside the lock, because the end of a stream removes its subscriber.
        for subscriber in closed { subscriber.finish() }
    }
}
