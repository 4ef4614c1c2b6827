/// The streams that exchanges use on one connection, by number. ``HTTP2ClientSession`` gives the numbers, and counts places.
///
/// | event | open | unknown |
/// |---|---|---|
/// | `opened` | – | open |
/// | `close` | gone | nothing |
/// | `refuse(above:)` | gone if above | – |
/// | `removeAll` | gone | – |
struct HTTP2StreamTable<Stream: HTTP2TableStream>: ~Copyable {
    private struct Entry {
        let id: Int
        let stream: Stream
    }

    // Ascending by id: streams are opened in that order.
    private var entries: [Entry] = []

    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }

    subscript(id: Int) -> Stream? {
        index(of: id).map { entries[$0].stream }
    }

    var streams: [Stream] { entries.map(\.stream) }

    /// A stream has been opened. Its number is above those of all that are here.
    mutating func opened(_ stream: Stream, as id: Int) {
        entries.append(Entry(id: id, stream: stream))
    }

    /// The exchange has no more to do with the stream. Returns whether it was there.
    @discardableResult
    mutating func close(_ id: Int) -> Bool {
        guard let index = index(of: id) else { return false }
        entries.remove(at: index).stream.isOpen = false
        return true
    }

    /// Takes out the streams that the peer has not looked at.
    mutating func refuse(above lastID: Int) -> [Stream] {
        let first = entries.firstIndex { $0.id > lastID } ?? entries.count
        let refused = entries[first...].map(\.stream)
        entries.removeSubrange(first...)
        for stream in refused { stream.isOpen = false }
        return refused
    }

    mutating func removeAll() -> [Stream] {
        let streams = streams
        entries = []
        for stream in streams { stream.isOpen = false }
        return streams
    }

    /// Calls `body` with each stream; it must not change the table.
    func forEach(_ body: (Stream) -> Void) {
        for entry in entries { body(entry.stream) }
    }

    /// Whether a stream fulfils the condition.
    func contains(where condition: (Stream) -> Bool) -> Bool {
        entries.contains { condition($0.stream) }
    }

    private func index(of id: Int) -> Int? {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].id == id ? low : nil
    }
}

/// A stream that a table keeps.
protocol HTTP2TableStream: AnyObject {
    /// Whether the table still has the stream. The table clears it when it removes the stream; a search would cost more.
    var isOpen: Bool { get set }
}
