internal import BowlineCore

/// The handlers that end calls at the shutdown's deadline, for calls that wait outside the transport.
///
/// Only stores the handlers. The lock of ``ClientLifecycle`` guards this storage. The handlers are called after the
/// unlock.
struct ForcedCloseHandlers {
    typealias Handler = @Sendable () -> Void

    private var handlers: [Int: (call: CallRecord, handler: Handler)] = [:]
    private var numbersMade = 0

    /// Adds a handler. Returns its number for ``remove(_:)``.
    mutating func add(_ handler: @escaping Handler, of call: CallRecord) -> Int {
        numbersMade += 1
        handlers[numbersMade] = (call, handler)
        return numbersMade
    }

    mutating func remove(_ number: Int) {
        handlers[number] = nil
    }

    /// Removes and returns the handlers of the calls that are outside the transport, in the order in which they were
    /// added.
    mutating func removeThoseOutsideTransport() -> [Handler] {
        let chosen = handlers.filter { !$0.value.call.isInTransport }
        for number in chosen.keys { handlers[number] = nil }
        return Self.inOrder(chosen)
    }

    mutating func removeAll() -> [Handler] {
        defer { handlers = [:] }
        return Self.inOrder(handlers)
    }

    private static func inOrder(_ handlers: [Int: (call: CallRecord, handler: Handler)]) -> [Handler] {
        handlers.sorted { $0.key < $1.key }.map(\.value.handler)
    }
}
