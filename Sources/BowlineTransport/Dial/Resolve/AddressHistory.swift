internal import BowlineCore

/// Which addresses failed recently, over all origins and event loops of a client; see ``FailedAddresses``.
final class AddressHistory: Sendable {
    private let state = Guarded(FailedAddresses())

    /// Records that a connect to `address` failed, or took so long that another address was tried.
    func failed(_ address: IPAddress, now: MonotonicInstant) {
        state.withLock { $0.failed(address, now: now) }
    }

    /// Records that a connect to `address` succeeded.
    func succeeded(_ address: IPAddress) {
        state.withLock { $0.succeeded(address) }
    }

    /// Returns the same addresses. Those that failed in the last 60 s are last, and `recentlyFailed` is their number.
    /// Otherwise the order stays.
    func ordered(_ addresses: [IPAddress], now: MonotonicInstant) -> (addresses: [IPAddress], recentlyFailed: Int) {
        state.withLock { $0.ordered(addresses, now: now) }
    }
}
