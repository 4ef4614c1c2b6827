internal import BowlineCore

/// Decides when the files of an identity are looked at, and when they are read.
///
/// A *stamp* is the state of the files, without their contents.
///
/// | state | `dialled`, before the interval is over | `dialled`, later | `looked`, the same stamp | `looked`, another stamp | `read` |
/// |---|---|---|---|---|---|
/// | resting | resting | looking | – | – | – |
/// | looking | looking | looking | resting | reading | – |
/// | reading | reading | reading | – | – | resting |
///
/// The interval begins with a look. Files that cannot be used are not read again before they change once more. So they
/// are reported once for each change.
struct IdentityWatch<Stamp: Equatable & Sendable>: ~Copyable {
    /// What the caller does after it has looked at the files.
    enum Next: Equatable, Sendable {
        case rest
        /// Read the files, and then call `read`.
        case read
    }

    private enum State {
        case resting, looking, reading
    }

    private let interval: Duration
    private var state = State.resting
    private var seen: Stamp
    private var lookedAt: MonotonicInstant

    /// - Parameters:
    ///   - stamp: The stamp of the files, taken at `now` before they were read for the first time.
    ///   - interval: The shortest time between two looks.
    init(_ stamp: Stamp, now: MonotonicInstant, interval: Duration = .seconds(1)) {
        seen = stamp
        lookedAt = now
        self.interval = interval
    }

    /// Records that a dial begins.
    ///
    /// - Returns: Whether the caller has to look at the files, and then to call `looked`.
    mutating func dialled(now: MonotonicInstant) -> Bool {
        guard state == .resting, lookedAt.duration(to: now) >= interval else { return false }
        state = .looking
        lookedAt = now
        return true
    }

    /// Records the stamp that the files have.
    mutating func looked(_ stamp: Stamp) -> Next {
        guard state == .looking else { return .rest }
        guard stamp != seen else {
            state = .resting
            return .rest
        }
        seen = stamp
        state = .reading
        return .read
    }

    /// Records that the files have been read, with or without success.
    mutating func read() {
        if state == .reading { state = .resting }
    }
}
