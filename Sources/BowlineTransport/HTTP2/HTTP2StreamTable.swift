/// The streams of one connection: waiting streams in order, and open streams by number. ``HTTP2ClientSession`` assigns
/// the numbers and counts the places.
///
/// | event | waiting | open | unknown |
/// |---|---|---|---|
/// | `hold` | – | – | waiting |
/// | `popHeld`, for the first | unknown | – | – |
/// | `opened` | – | – | open |
/// | `removeUnopened` | removed | – | marked as removed |
/// | `close` | – | removed | nothing |
/// | `refuse(above:)` | – | removed if above | – |
/// | `removeAllHeld` | removed | – | – |
/// | `removeAllOpen` | – | removed | – |
///
/// When the channel has been given the HEADERS of an open stream (``passedOutputToChannel()``), the peer may know of
/// the stream.
struct HTTP2StreamTable<Stream: HTTP2TableStream>: ~Copyable {
    private struct Entry {
        let id: Int
        let stream: Stream
    }

    /// Streams that wait to be opened: nothing of them has been written.
    private(set) var held: [Stream] = []
    // Ascending by id: streams are opened in that order.
    private var entries: [Entry] = []
    /// The number of the first stream whose HEADERS the channel has not been given.
    private var firstUnwritten = Int.max
    /// Whether the channel has been given the HEADERS of any stream.
    private(set) var hasWritten = false

    /// Whether there is no stream, open or not.
    var isEmpty: Bool { entries.isEmpty && held.isEmpty }

    /// The open stream with this number.
    subscript(id: Int) -> Stream? {
        index(of: id).map { entries[$0].stream }
    }

    /// The open streams.
    var streams: [Stream] { entries.map(\.stream) }

    // MARK: Streams that wait

    /// Adds the stream behind the other waiting streams.
    mutating func hold(_ stream: Stream) {
        held.append(stream)
    }

    /// Removes and returns the first waiting stream. The caller opens it.
    mutating func popHeld() -> Stream? {
        held.isEmpty ? nil : held.removeFirst()
    }

    /// Removes a stream that will not be opened. ``popHeld()`` may have removed it from the waiting streams already.
    mutating func removeUnopened(_ stream: Stream) {
        stream.isOpen = false
        if !held.isEmpty { held.removeAll { $0 === stream } }
    }

    mutating func removeAllHeld() -> [Stream] {
        let streams = held
        held = []
        for stream in streams { stream.isOpen = false }
        return streams
    }

    // MARK: Open streams

    /// Adds a stream that has been opened. Its number must be above the numbers of all open streams.
    mutating func opened(_ stream: Stream, as id: Int) {
        entries.append(Entry(id: id, stream: stream))
        firstUnwritten = min(firstUnwritten, id)
    }

    /// Records that the channel has been given the HEADERS of all open streams.
    mutating func passedOutputToChannel() {
        if firstUnwritten != .max { hasWritten = true }
        firstUnwritten = .max
    }

    /// Whether the channel has been given the HEADERS of the stream with this number.
    func isWritten(_ id: Int) -> Bool { id < firstUnwritten }

    /// Removes an open stream. Returns whether the table had it.
    @discardableResult
    mutating func close(_ id: Int) -> Bool {
        guard let index = index(of: id) else { return false }
        entries.remove(at: index).stream.isOpen = false
        return true
    }

    /// Removes and returns the open streams above `lastID`, which the peer has not processed.
    mutating func refuse(above lastID: Int) -> [Stream] {
        let first = entries.firstIndex { $0.id > lastID } ?? entries.count
        let refused = entries[first...].map(\.stream)
        entries.removeSubrange(first...)
        for stream in refused { stream.isOpen = false }
        return refused
    }

    mutating func removeAllOpen() -> [Stream] {
        let streams = streams
        entries = []
        for stream in streams { stream.isOpen = false }
        return streams
    }

    /// Calls `body` with each open stream, first with the streams above `id`. `body` must not change the table.
    func forEach(after id: Int, _ body: (Stream) -> Void) {
        for entry in entries where entry.id > id { body(entry.stream) }
        for entry in entries where entry.id <= id { body(entry.stream) }
    }

    /// Whether an open stream fulfils the condition.
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
    /// Whether the table still has the stream. The table sets this to false when it removes the stream, because a
    /// search in the table would cost more.
    var isOpen: Bool { get set }
}
