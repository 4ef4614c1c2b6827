/// How many bytes of DATA we may send, on one stream or on the connection (RFC 9113 §6.9).
struct HTTP2SendWindow: Sendable, Hashable {
    /// The largest window (RFC 9113 §6.9.1).
    static let maximum = 0x7FFF_FFFF

    /// How many bytes we may send. Can be below 0 after the peer has lowered SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113
    /// §6.9.2).
    private(set) var available: Int

    init(_ available: Int = 65_535) {
        self.available = available
    }

    mutating func sent(_ count: Int) {
        available -= count
    }

    enum Change {
        case applied
        /// The window would exceed 2³¹ − 1. It is unchanged.
        case overflow
    }

    /// Changes the window as the peer demands: by WINDOW_UPDATE, or by SETTINGS_INITIAL_WINDOW_SIZE, which may lower
    /// it.
    mutating func change(by difference: Int) -> Change {
        let (sum, overflowed) = available.addingReportingOverflow(difference)
        guard !overflowed, sum <= Self.maximum else { return .overflow }
        available = sum
        return .applied
    }
}
