/// How many bytes of DATA the peer may send, on one stream or on the connection (RFC 9113 §6.9).
///
/// Each byte of the window is in one of four places: *available* to the peer, *held* by the reader, *owed* to the peer, who
/// learns of it by the next WINDOW_UPDATE, or *promised*: the peer has been told within a DATA frame, which must fit in what was
/// available before. Together they are always `size`.
struct HTTP2ReceiveWindow: Sendable, Hashable {
    /// A WINDOW_UPDATE is due when this part of the window is owed: with 2, half of it. So the peer has half a window
    /// left while the update is on its way, and there are at most two updates per window.
    private static let dueFraction = 2

    private(set) var size: Int
    /// Below 0 after our SETTINGS_INITIAL_WINDOW_SIZE has lowered the window (RFC 9113 §6.9.2).
    private(set) var available: Int
    private(set) var owed = 0
    private var promised = 0

    init(size: Int) {
        self.size = size
        available = size
    }

    var held: Int { size - available - owed - promised }

    enum Arrival {
        case counted
        /// The peer sent more than it may. Nothing was counted.
        case beyondWindow
    }

    /// The peer has sent so many bytes, padding included.
    mutating func received(_ count: Int) -> Arrival {
        // Bytes that count nothing are allowed in any window (RFC 9113 §6.9.1).
        guard count <= available || count == 0 else { return .beyondWindow }
        available -= count
        return .counted
    }

    /// The reader has taken so many of the bytes that it held. More than it held counts as all of them.
    mutating func consumed(_ count: Int) {
        owed += max(0, min(count, held))
    }

    var isIncrementDue: Bool { owed >= max(1, size / Self.dueFraction) }

    /// The increment of the WINDOW_UPDATE that is due, which the caller writes. 0: none is due.
    ///
    /// - Parameter isWithinFrame: Whether a DATA frame is arriving in pieces: the increment counts from ``frameEnded()`` on.
    mutating func takeIncrement(isWithinFrame: Bool = false) -> Int {
        guard isIncrementDue else { return 0 }
        defer { owed = 0 }
        if isWithinFrame { promised += owed } else { available += owed }
        return owed
    }

    /// The DATA frame that arrived in pieces has been counted whole.
    mutating func frameEnded() {
        available += promised
        promised = 0
    }

    /// The window's size has changed, which the peer knows: by SETTINGS that it has acknowledged, or by a WINDOW_UPDATE
    /// that is written with this. An increment may be due afterwards.
    mutating func resize(to newSize: Int) {
        available += newSize - size
        size = newSize
    }
}
