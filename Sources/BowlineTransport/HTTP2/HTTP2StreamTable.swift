/// The streams of one connection, by number, and the places of those that were reset.
///
/// A stream that we reset keeps its place until the peer has shown, by answering a PING sent after it, that it knows:
/// otherwise resets could make a server begin more than it allows.
///
/// | event | open | reset, PING to be sent | reset, PING sent | unknown |
/// |---|---|---|---|---|
/// | `open` | – | – | – | open |
/// | `close` | gone | – | – | nothing |
/// | `reset` | reset | – | – | nothing |
/// | `pingSent` | – | PING sent | – | – |
/// | `pingAnswered` | – | – | gone | – |
/// | `forgetResets` | – | gone | gone | – |
/// | `refuse(above:)` | gone if above | – | – | – |
struct HTTP2StreamTable<Stream: HTTP2TableStream>: ~Copyable {
    private struct Entry {
        let id: Int
        let stream: Stream
    }

    // Ascending by id: streams are opened in that order.
    private var entries: [Entry] = []
    private var nextID: Int
    /// Reset streams that no PING has been sent after.
    private(set) var resets = 0
    /// Reset streams that the PING on its way was sent after.
    private(set) var awaitedResets = 0

    /// The last number there is (RFC 9113 §5.1.1).
    static var lastID: Int { 0x7FFF_FFFF }

    /// - Parameter firstID: The first stream's number; odd.
    init(firstID: Int = 1) {
        nextID = firstID
    }

    /// Streams that exchanges use.
    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }
    /// Places that are taken.
    var occupied: Int { entries.count + resets + awaitedResets }
    /// The stream that was opened last; 0: none was.
    var lastOpened: Int { max(0, nextID - 2) }
    /// Whether no stream can be opened any more.
    var isExhausted: Bool { nextID > Self.lastID }

    subscript(id: Int) -> Stream? {
        index(of: id).map { entries[$0].stream }
    }

    var streams: [Stream] { entries.map(\.stream) }

    /// Opens a stream. Nil if there are no numbers left.
    mutating func open(_ make: (Int) -> Stream) -> Stream? {
        guard !isExhausted else { return nil }
        let stream = make(nextID)
        entries.append(Entry(id: nextID, stream: stream))
        nextID += 2
        return stream
    }

    /// The stream has ended on both sides. Returns whether it was there.
    @discardableResult
    mutating func close(_ id: Int) -> Bool {
        guard let index = index(of: id) else { return false }
        entries.remove(at: index).stream.isOpen = false
        return true
    }

    /// We have reset the stream. Returns whether it was there.
    @discardableResult
    mutating func reset(_ id: Int) -> Bool {
        guard close(id) else { return false }
        resets += 1
        return true
    }

    /// A PING goes out: its answer will cover the resets so far.
    mutating func pingSent() {
        awaitedResets += resets
        resets = 0
    }

    /// The PING was answered. Returns how many places that frees.
    mutating func pingAnswered() -> Int {
        defer { awaitedResets = 0 }
        return awaitedResets
    }

    /// No stream will be opened any more, so no place is kept. Returns how many that frees.
    mutating func forgetResets() -> Int {
        defer { (resets, awaitedResets) = (0, 0) }
        return resets + awaitedResets
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
    /// Whether it is in its table, which alone changes that: asked more often than a search would be cheap.
    var isOpen: Bool { get set }
}
