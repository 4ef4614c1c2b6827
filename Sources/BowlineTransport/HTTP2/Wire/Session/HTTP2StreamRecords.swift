/// The streams of one connection: those that are open, and those that were reset, which the peer may not know.
///
/// A stream that we reset keeps its *place* until the peer has shown, by answering a PING sent after it, that it knows:
/// otherwise resets could make a server begin more than it allows. The stream is remembered beyond that, since some
/// servers answer a PING before DATA that they had queued; only the latest ``rememberedLimit`` such streams are.
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
    /// The last number there is (RFC 9113 §5.1.1).
    private static let lastID = 0x7FFF_FFFF

    // Ascending by id: streams are opened in that order.
    private var records: [HTTP2StreamRecord] = []
    private var nextID: Int
    private let rememberedLimit: Int
    /// Reset streams that keep no place.
    private var remembered = 0
    /// Streams that the caller knows.
    private(set) var openCount = 0
    /// Reset streams that no PING has been sent after.
    private(set) var resets = 0
    /// Reset streams that the PING on its way was sent after.
    private(set) var awaitedResets = 0

    /// - Parameters:
    ///   - firstID: The first stream's number; one that is even or below 1 counts as the next that is neither.
    ///   - rememberedLimit: How many reset streams without a place are remembered.
    init(firstID: Int, rememberedLimit: Int) {
        nextID = max(1, firstID) | 1
        self.rememberedLimit = rememberedLimit
    }

    /// Places that are taken.
    var occupied: Int { openCount + resets + awaitedResets }
    /// The stream that was opened last; 0: none was.
    var lastOpened: Int { max(0, nextID - 2) }
    var isExhausted: Bool { nextID > Self.lastID }
    var indices: Range<Int> { records.indices }

    /// A record, by its place in the list. A change of its state goes through the functions below, which count.
    subscript(index: Int) -> HTTP2StreamRecord {
        get { records[index] }
        _modify { yield &records[index] }
    }

    /// Where the stream's record is; nil: the stream is idle or closed.
    func index(of id: Int) -> Int? {
        var (low, high) = (0, records.count)
        while low < high {
            let middle = (low + high) / 2
            if records[middle].id < id { low = middle + 1 } else { high = middle }
        }
        return low < records.count && records[low].id == id ? low : nil
    }

    /// Whether a stream without a record has never been open.
    func isIdle(_ id: Int) -> Bool {
        id % 2 == 0 || id >= nextID
    }

    func state(of id: Int) -> HTTP2StreamState {
        if let index = index(of: id) { return records[index].state }
        return isIdle(id) ? .idle : .closed
    }

    // MARK: States

    /// Opens a stream; the caller has asked `isExhausted`.
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

    /// We have ended the stream.
    mutating func localEnded(at index: Int) {
        switch records[index].state {
        case .open: records[index].state = .halfClosedLocal
        case .halfClosedRemote: close(at: index)
        case .idle, .halfClosedLocal, .reset, .resetEnded, .closed: break
        }
    }

    /// The peer has ended the stream.
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

    /// We have reset the stream, which was open. It keeps its place.
    mutating func reset(at index: Int) {
        guard records[index].state.isOpen else { return }
        records[index].state = records[index].state == .halfClosedRemote ? .resetEnded : .reset
        records[index].place = .uncovered
        resets += 1
        openCount -= 1
    }

    /// The peer has reset the stream, which was open.
    mutating func peerReset(at index: Int) {
        remember(at: index)
        trimRemembered()
    }

    /// The peer takes no streams above this number.
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

    /// The connection has failed: no stream is open, and no place is kept.
    mutating func removeAll() {
        records = []
        (openCount, remembered, resets, awaitedResets) = (0, 0, 0, 0)
    }

    // MARK: Places

    /// A PING has been written: its answer will cover the resets so far.
    mutating func pingSent() {
        guard resets > 0 else { return }
        for index in records.indices where records[index].place == .uncovered { records[index].place = .covered }
        awaitedResets += resets
        resets = 0
    }

    /// The PING was answered. Returns how many places that frees.
    mutating func pingAnswered() -> Int {
        let freed = awaitedResets
        guard freed > 0 else { return 0 }
        for index in records.indices where records[index].place == .covered { records[index].place = .none }
        awaitedResets = 0
        remembered += freed
        trimRemembered()
        return freed
    }

    /// No stream will be opened any more, so that no place is kept. Returns how many that frees.
    mutating func forgetResets() -> Int {
        let freed = resets + awaitedResets
        guard freed > 0 else { return 0 }
        for index in records.indices { records[index].place = .none }
        (resets, awaitedResets) = (0, 0)
        remembered += freed
        return freed
    }

    // MARK: Windows

    /// The peer's initial window has changed, which changes that of each open stream (RFC 9113 §6.9.2).
    mutating func changeSendWindows(by difference: Int) -> HTTP2SendWindow.Change {
        for index in records.indices where records[index].state.isOpen {
            guard records[index].sendWindow.change(by: difference) == .applied else { return .overflow }
        }
        return .applied
    }

    /// Our initial window is in force.
    mutating func resizeReceiveWindows(to size: Int) {
        for index in records.indices where records[index].state.isOpen {
            records[index].receiveWindow.resize(to: size)
        }
    }
}
