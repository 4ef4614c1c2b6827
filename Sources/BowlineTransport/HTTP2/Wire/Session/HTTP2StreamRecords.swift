/// The streams of one connection: open streams, and reset streams while the peer may not know of the reset.
///
/// Each open stream takes a *place* of those that the peer allows at once. A stream that we reset keeps its place until
/// the peer answers a PING that was sent after the reset. The answer shows that the peer knows of the reset. If the
/// place were free at once, we could open streams faster than the server learns of the resets, and the server would
/// have more requests than it allows. The stream is remembered even after it has lost its place, because some servers
/// answer a PING before they send DATA that they had queued. Only the latest ``rememberedLimit`` such streams are
/// remembered.
///
/// A reset stream is *covered* when a PING was sent after the reset: the answer to that PING frees its place. Before,
/// it is *uncovered*.
///
/// | event | open | reset, uncovered | reset, covered | reset, without a place |
/// |---|---|---|---|---|
/// | `reset` | uncovered | – | – | – |
/// | `peerReset`, `refuse(above:)` | without a place | – | – | – |
/// | `pingSent` | – | covered | – | – |
/// | `pingAnswered` | – | – | without a place | – |
/// | `forgetResets` | – | without a place | without a place | – |
/// | more than `rememberedLimit` | – | – | – | the oldest is removed |
struct HTTP2StreamRecords: Sendable {
    /// The highest stream number (RFC 9113 §5.1.1).
    private static let lastID = 0x7FFF_FFFF

    // Ascending by id: streams are opened in that order.
    private var records: [HTTP2StreamRecord] = []
    private var nextID: Int
    private let rememberedLimit: Int
    /// The number of reset streams that keep no place.
    private var remembered = 0
    /// The number of open streams.
    private(set) var openCount = 0
    /// The number of streams that were reset after the last PING.
    private(set) var resets = 0
    /// The number of reset streams that keep a place until the PING on its way is answered.
    private(set) var awaitedResets = 0

    /// - Parameters:
    ///   - firstID: The number of the first stream. An even number, or a number below 1, is raised to the next valid
    ///     number.
    ///   - rememberedLimit: How many reset streams without a place are remembered.
    init(firstID: Int, rememberedLimit: Int) {
        nextID = max(1, firstID) | 1
        self.rememberedLimit = rememberedLimit
    }

    /// The number of places that are taken.
    var occupied: Int { openCount + resets + awaitedResets }
    /// The number of the stream that was opened last. 0: none was.
    var lastOpened: Int { max(0, nextID - 2) }
    var isExhausted: Bool { nextID > Self.lastID }
    var indices: Range<Int> { records.indices }

    /// The record at an index of the list. Change its state only with the functions below, which keep the counts.
    subscript(index: Int) -> HTTP2StreamRecord {
        get { records[index] }
        _modify { yield &records[index] }
    }

    /// Returns the index of the stream's record. nil: the stream is idle or closed.
    func index(of id: Int) -> Int? {
        var (low, high) = (0, records.count)
        while low < high {
            let middle = (low + high) / 2
            if records[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < records.count && records[low].id == id ? low : nil
    }

    /// For a stream without a record: whether it was never open, because its number is even or was not used yet.
    func isIdle(_ id: Int) -> Bool {
        id % 2 == 0 || id >= nextID
    }

    func state(of id: Int) -> HTTP2StreamState {
        if let index = index(of: id) { return records[index].state }
        return isIdle(id) ? .idle : .closed
    }

    // MARK: States

    /// Opens a stream. The caller checks `isExhausted` first.
    mutating func open(endsStream: Bool, sendWindow: Int, receiveWindow: Int) -> Int {
        let id = nextID
        records.append(
            HTTP2StreamRecord(
                id: id, state: endsStream ? .halfClosedLocal : .open, sendWindow: HTTP2SendWindow(sendWindow),
                receiveWindow: HTTP2ReceiveWindow(size: receiveWindow)))
        nextID += 2
        openCount += 1
        return id
    }

    /// Records that we have ended the stream.
    mutating func localEnded(at index: Int) {
        switch records[index].state {
        case .open: records[index].state = .halfClosedLocal
        case .halfClosedRemote: close(at: index)
        case .idle, .halfClosedLocal, .reset, .resetEnded, .closed: break
        }
    }

    /// Records that the peer has ended the stream.
    mutating func remoteEnded(at index: Int) {
        switch records[index].state {
        case .open: records[index].state = .halfClosedRemote
        case .halfClosedLocal: close(at: index)
        case .reset: records[index].state = .resetEnded
        case .idle, .halfClosedRemote, .resetEnded, .closed: break
        }
    }

    private mutating func close(at index: Int) {
        records.remove(at: index)
        openCount -= 1
    }

    /// Records that we have reset the stream, if it was open. It keeps its place.
    mutating func reset(at index: Int) {
        guard records[index].state.isOpen else { return }
        records[index].state = records[index].state == .halfClosedRemote ? .resetEnded : .reset
        records[index].place = .uncovered
        resets += 1
        openCount -= 1
    }

    /// Records that the peer has reset the stream, if it was open.
    mutating func peerReset(at index: Int) {
        remember(at: index)
        trimRemembered()
    }

    /// Ends the streams above `lastID`, which the peer does not take.
    mutating func refuse(above lastID: Int) {
        for index in records.indices.reversed() {
            guard records[index].id > lastID else { return }
            remember(at: index)
        }
    }

    private mutating func remember(at index: Int) {
        guard records[index].state.isOpen else { return }
        records[index].state = .reset
        remembered += 1
        openCount -= 1
    }

    private mutating func trimRemembered() {
        while remembered > rememberedLimit,
            let oldest = records.firstIndex(where: { !$0.state.isOpen && $0.place == .none })
        {
            records.remove(at: oldest)
            remembered -= 1
        }
    }

    /// Removes all streams and places, because the connection has failed.
    mutating func removeAll() {
        records = []
        (openCount, remembered, resets, awaitedResets) = (0, 0, 0, 0)
    }

    // MARK: Places

    /// Records that a PING has been written. Its answer will cover the resets so far.
    mutating func pingSent() {
        guard resets > 0 else { return }
        for index in records.indices where records[index].place == .uncovered { records[index].place = .covered }
        awaitedResets += resets
        resets = 0
    }

    /// Frees the places that the answered PING covers. Returns how many.
    mutating func pingAnswered() -> Int {
        let freed = awaitedResets
        guard freed > 0 else { return 0 }
        for index in records.indices where records[index].place == .covered { records[index].place = .none }
        awaitedResets = 0
        remembered += freed
        trimRemembered()
        return freed
    }

    /// Frees the places of all reset streams, because no more streams will be opened. Returns how many.
    mutating func forgetResets() -> Int {
        let freed = resets + awaitedResets
        guard freed > 0 else { return 0 }
        for index in records.indices { records[index].place = .none }
        (resets, awaitedResets) = (0, 0)
        remembered += freed
        return freed
    }

    // MARK: Windows

    /// Changes the send window of each open stream, because the peer's initial window has changed (RFC 9113 §6.9.2).
    mutating func changeSendWindows(by difference: Int) -> HTTP2SendWindow.Change {
        for index in records.indices where records[index].state.isOpen {
            guard records[index].sendWindow.change(by: difference) == .applied else { return .overflow }
        }
        return .applied
    }

    /// Changes the receive window of each open stream, because our initial window is in force.
    mutating func resizeReceiveWindows(to size: Int) {
        for index in records.indices where records[index].state.isOpen {
            records[index].receiveWindow.resize(to: size)
        }
    }
}
