internal import BowlineCore

/// The streams of the client's state.
extension ClientLifecycle {
    /// Returns a stream of the client's state. The current state comes first. The stream ends when the client is
    /// closed.
    func progress() -> AsyncStream<ShutdownProgress> {
        AsyncStream(bufferingPolicy: .bufferingNewest(16)) { subscriber in
            let number = shared.withLock { $0.subscribers.add(subscriber, $0.progress) }
            subscriber.onTermination = { [weak self] _ in
                self?.shared.withLock { $0.subscribers.remove(number) }
            }
            sendProgress()
        }
    }

    /// Sends the current state to every subscriber.
    func publishProgress() {
        shared.withLock { $0.subscribers.publish($0.progress) }
        sendProgress()
    }

    /// Sends the queued states, unless another thread does.
    func sendProgress() {
        var message = shared.withLock { $0.subscribers.next(isLater: false) }
        while let sent = message {
            for receiver in sent.receivers {
                receiver.yield(sent.progress)
                if sent.progress.state == .closed { receiver.finish() }
            }
            message = shared.withLock { $0.subscribers.next(isLater: true) }
        }
    }
}
