internal import BowlineCore

/// Says whether the frame handler writes a HEADERS frame within the call that hands it over.
///
/// What the handler holds back is encoded later, when the peer's limits may be others, and its failure is told to nobody. So
/// nothing that it would hold back is handed to it. While the channel is not writable it holds back new streams and control
/// frames; control frames that wait then hold back others until a flush has sent them.
///
/// | event | open | shut | emptying |
/// |---|---|---|---|
/// | `becameUnwritable` | shut | shut | shut |
/// | `becameWritable` | open | emptying: flush in a turn of its own | emptying |
/// | `flushed` | open | shut | open |
struct HTTP2WriteGate: ~Copyable {
    private enum State {
        case open
        case shut
        /// The channel is writable again; what the handler holds back goes out with the next flush.
        case emptying
    }

    private var state = State.open
    /// Since when the channel has not been writable; nil if it is.
    private(set) var blockedSince: MonotonicInstant?

    /// Whether HEADERS are written at once.
    var isOpen: Bool { state == .open }

    mutating func becameUnwritable(now: MonotonicInstant) {
        state = .shut
        if blockedSince == nil { blockedSince = now }
    }

    /// Returns whether a flush in a turn of its own has to follow, and then ``flushed()``. Within the handler's own calls the
    /// flush would come too early.
    mutating func becameWritable() -> Bool {
        blockedSince = nil
        guard state == .shut else { return false }
        state = .emptying
        return true
    }

    /// A flush has sent what was held back, unless the channel has become unwritable meanwhile.
    mutating func flushed() {
        if state == .emptying { state = .open }
    }
}
