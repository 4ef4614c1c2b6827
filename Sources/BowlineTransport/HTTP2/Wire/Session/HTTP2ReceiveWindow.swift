/// How many bytes of DATA the peer may send, on one stream or on the connection (RFC 9113 §6.9).
///
/// Each byte of the window is in one of four parts, which always add up to `size`:
/// - *available*: the peer may send it;
/// - *held*: the reader has not taken it yet;
/// - *owed*: the next WINDOW_UPDATE will make it available;
/// - *promised*: WINDOW_UPDATE was written for it while a DATA frame was arriving. That frame must fit into the bytes
///   that were available before.
struct HTTP2ReceiveWindow: Sendable, Hashable {
    /// A WINDOW_UPDATE is due when this part of the window is owed: with 2, half of it. So the peer has half a window
    /// left while the update is on its way, and there are at most two updates per window.
    private static let dueFraction = 2

    private(set) var size: Int
    /// How many bytes the peer may send. Can be below 0 after our SETTINGS_INITIAL_WINDOW_SIZE has made the window
    /// smaller (RFC 9113 §6.9.2).
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
        /// The peer sent more than the window allows. Nothing was counted.
        case beyondWindow
    }

    /// Counts bytes that the peer has sent, padding included.
    mutating func received(_ count: Int) -> Arrival {
        // An empty frame is allowed in any window (RFC 9113 §6.9.1).
        guard count <= available || count == 0 else { return .beyondWindow }
        available -= count
        return .counted
    }

    /// Records that the reader has taken `count` of the held bytes. A larger count means all of them.
    mutating func consumed(_ count: Int) {
        owed += max(0, min(count, held))
    }

    var isIncrementDue: Bool { owed >= max(1, size / Self.dueFraction) }

    /// Returns the increment of the WINDOW_UPDATE that is due, which the caller writes. 0: none is due.
    ///
    /// - Parameter isWithinFrame: Whether a DATA frame is arriving in pieces. Then the increment counts from
    ///   ``frameEnded()`` on.
    mutating func takeIncrement(isWithinFrame: Bool = false) -> Int {
        guard isIncrementDue else { return 0 }
        defer { owed = 0 }
        if isWithinFrame { promised += owed } else { available += owed }
        return owed
    }

    /// Makes promised bytes available, because the whole DATA frame has been counted.
    mutating func frameEnded() {
        available += promised
        promised = 0
    }

    /// Changes the window's size. The peer knows the new size from SETTINGS that it has acknowledged, or from a
    /// WINDOW_UPDATE that is written together with this call. An increment may be due afterwards.
    mutating func resize(to newSize: Int) {
        available += newSize - size
        size = newSize
    }
}
