internal import BowlineTesting

/// How many bytes a peer may still send: on the connection, and on each stream whose reader is stopped (RFC 9113 §6.9).
struct StalledWindows: Sendable, Hashable {
    /// The bytes to send next: the same number on each of these streams.
    struct Part: Sendable, Hashable {
        let streams: [Int]
        let bytes: Int
    }

    private struct Stream: Sendable, Hashable {
        let id: Int
        var left: Int
    }

    private(set) var connection = 65_535
    /// How many bytes ``take(upTo:)`` has returned in all.
    private(set) var sent = 0
    private var initial = 65_535
    private var streams: [Stream] = []

    /// Whether the window of every stream is used up.
    var isUsedUp: Bool { streams.allSatisfy { $0.left <= 0 } }

    mutating func opened(_ id: Int) {
        streams.append(Stream(id: id, left: initial))
    }

    /// Records that the client has changed SETTINGS_INITIAL_WINDOW_SIZE. The windows of all streams change by the
    /// difference.
    mutating func initialChanged(to window: Int) {
        for index in streams.indices { streams[index].left += window - initial }
        initial = window
    }

    /// Records that the client has sent WINDOW_UPDATE; stream 0 means the connection.
    mutating func raised(_ id: Int, by increment: Int) {
        if id == 0 {
            connection += increment
        } else if let index = streams.firstIndex(where: { $0.id == id }) {
            streams[index].left += increment
        }
    }

    /// Subtracts the next part to send from the windows and returns it. Each stream with an open window gets the same
    /// number of bytes, 1 to `limit`. nil: nothing may be sent.
    mutating func take(upTo limit: Int) -> Part? {
        var open = streams.indices.filter { streams[$0].left > 0 }
        guard !open.isEmpty, connection > 0 else { return nil }
        // If the connection's window is smaller than the number of streams, only the first streams get a byte.
        open = Array(open.prefix(connection))
        let least = open.map { streams[$0].left }.min() ?? 0
        let bytes = max(1, min(limit, least, connection / open.count))
        for index in open { streams[index].left -= bytes }
        connection -= bytes * open.count
        sent += bytes * open.count
        return Part(streams: open.map { streams[$0].id }, bytes: bytes)
    }
}
