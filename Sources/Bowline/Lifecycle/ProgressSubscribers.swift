/// The streams of ``ServiceClient/shutdownProgress`` that are being read, and what they still have to get.
///
/// The lock of ``ClientLifecycle`` guards this storage. Values are queued under the lock and sent after the unlock, by one
/// thread at a time: so each stream gets them in order, and no code of a reader's executor runs under the lock.
struct ProgressSubscribers {
    typealias Subscriber = AsyncStream<ShutdownProgress>.Continuation

    /// A value for some streams.
    struct Message {
        let progress: ShutdownProgress
        let receivers: [Subscriber]
    }

    private var subscribers: [Int: Subscriber] = [:]
    private var numbersMade = 0
    private var queue: [Message] = []
    private var isSending = false

    /// Adds a subscriber, whose first value is `progress`. Returns its number for ``remove(_:)``.
    mutating func add(_ subscriber: Subscriber, _ progress: ShutdownProgress) -> Int {
        numbersMade += 1
        subscribers[numbersMade] = subscriber
        queue.append(Message(progress: progress, receivers: [subscriber]))
        return numbersMade
    }

    mutating func remove(_ number: Int) {
        subscribers[number] = nil
    }

    /// Queues a value for all subscribers, in the order in which they were added.
    mutating func publish(_ progress: ShutdownProgress) {
        guard !subscribers.isEmpty else { return }
        let receivers = subscribers.sorted { $0.key < $1.key }.map(\.value)
        queue.append(Message(progress: progress, receivers: receivers))
    }

    /// Returns the next value to send; nil: there is none, or another thread sends. After a value, call it again with
    /// `isLater`.
    mutating func next(isLater: Bool) -> Message? {
        guard isLater || !isSending else { return nil }
        isSending = !queue.isEmpty
        return queue.isEmpty ? nil : queue.removeFirst()
    }
}
