package import BowlineCore

/// Reads `Retry-After` (RFC 9110 §10.2.3): seconds, or a date. Also reads fractions of seconds, which some services
/// send.
package enum RetryAfter {
    /// Returns the wait that the service requests; nil: there is no `Retry-After`, or it cannot be read. If there are
    /// several fields, the longest wait counts.
    ///
    /// A date is compared with the response's own `Date`, because both come from the same clock. Without a `Date`, it
    /// is compared with the clock of this machine. A date in the past means no wait.
    package static func delay(asked fields: ReceivedFields, wallClock: () -> Int64) -> Duration? {
        var longest: Duration?
        for value in fields.values(for: .retryAfter) {
            guard let delay = delay(value, now: { date(of: fields) ?? wallClock() }) else { continue }
            longest = max(longest ?? .zero, delay)
        }
        return longest
    }

    private static func date(of fields: ReceivedFields) -> Int64? {
        fields.values(for: .date).lazy.compactMap(HTTPDate.parse).first
    }

    private static func delay(_ value: String, now: () -> Int64) -> Duration? {
        let text = value.utf8.drop { $0 == 0x20 || $0 == 0x09 }
        guard let first = text.first else { return nil }
        if (0x30...0x39).contains(first) { return seconds(text) }
        guard let date = HTTPDate.parse(value) else { return nil }
        return .seconds(max(0, date - now()))
    }

    /// Parses digits, optionally followed by a point and more digits. A number that is too large is read as 10¹²
    /// seconds.
    private static func seconds(_ text: Substring.UTF8View) -> Duration? {
        var seconds: Int64 = 0
        var nanoseconds: Int64 = 0
        /// The value of the next digit after the point, in nanoseconds; nil: the point has not been read yet.
        var place: Int64?
        var isEnded = false
        var last: UInt8 = 0
        for byte in text {
            switch (byte, place) {
            case (0x30...0x39, nil) where !isEnded:
                seconds = min(seconds * 10 + Int64(byte - 0x30), 1_000_000_000_000)
            case (0x30...0x39, let value?) where !isEnded:
                nanoseconds += Int64(byte - 0x30) * value
                place = value / 10
            case (0x2E, nil) where !isEnded: place = 100_000_000
            case (0x20, _), (0x09, _):
                isEnded = true
                continue
            default: return nil
            }
            last = byte
        }
        guard last != 0x2E else { return nil }
        return .seconds(seconds) + .nanoseconds(nanoseconds)
    }
}
