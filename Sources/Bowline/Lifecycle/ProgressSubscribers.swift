/// The streams of ``ServiceClient/shutdownProgress`` that are being read.
///
/// Only stores the subscribers. The lock of ``ClientLifecycle`` guards this storage. The subscribers in ``all`` get
/// their values after the unlock.
struct ProgressSubscribers {
    typealias Subscriber = AsyncStream<ShutdownProgress>.Continuation

    private var subscribers: [Int: Subscriber] = [:]
    private var numbersMade = 0

    /// In the order in which they were added.
    var all: [Subscriber] { subscribers.sorted { $0.key < $1.key }.map(\.value) }

    /// Adds a subscriber. Returns its number for ``remove(_:)``.
    mutating func add(_ subscriber: Subscriber) -> Int {
        numbersMade += 1
        subscribers[numbersMade] = subscriber
        return numbersMade
    }

    mutating func remove(_ number: Int) {
        subscribers[number] = nil
    }
}
