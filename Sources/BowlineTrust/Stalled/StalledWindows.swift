internal import BowlineTesting

/// What a peer may still send: on the connection, and on each stream whose reader stands still (RFC 9113 §6.9).
struct StalledWindows: Sendable, Hashable {
    /// The same number of bytes on each of some streams.
    struct Part: Sendable, Hashable {
        let streams: [Int]
        let bytes: Int
    }

    private struct Stream: Sendable, Hashable {
        let id: Int
        var left: Int
    }

    private(set) var connection = 65_535
    /// How many bytes were taken.
    private(set) var sent = 0
    private var initial = 65_535
    private var streams: [Stream] = []

    /// Whether no stream may send more.
    var isUsedUp: Bool { streams.allSatisfy { $0.left <= 0 } }

    mutating func opened(_ id: Int) {
        streams.append(Stream(id: id, left: initial))
    }

    /// The client has changed SETTINGS_INITIAL_WINDOW_SIZE: all windows change with it.
    mutating func initialChanged(to window: Int) {
        for index in streams.indices { streams[index].left += window - initial }
        initial = window
    }

    /// The client has sent WINDOW_UPDATE; stream 0 is the connection.
    mutating func raised(_ id: Int, by increment: Int) {
        if id == 0 {
            connection += increment
        } else if let index = streams.firstIndex(where: { $0.id == id }) {
            streams[index].left += increment
        }
    }

    /// Takes what may be sent next: one byte or more, at most `limit`, on each stream that has a window; nil: nothing may be sent.
    mutating func take(upTo limit: Int) -> Part? {
        var open = streams.indices.filter { streams[$0].left > 0 }
        guard !open.isEmpty, connection > 0 else { return nil }
        // A connection's window that is smaller than that is for the first of them.
        open = Array(open.prefix(connection))
        let least = open.map { streams[$0].left }.min() ?? 0
        let bytes = max(1, min(limit, least, connection / open.count))
        for index in open { streams[index].left -= bytes }
        connection -= bytes * open.count
        sent += bytes * open.count
        return Part(streams: open.map { streams[$0].id }, bytes: bytes)
    }
}
