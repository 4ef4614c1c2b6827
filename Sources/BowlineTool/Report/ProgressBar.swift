internal import Bowline

/// The progress bar for long work: its text, and when to show it.
struct ProgressBar: Sendable {
    private static let patience: Duration = .seconds(1)
    private static let interval: Duration = .milliseconds(100)
    private static let width = 30

    private let total: Int
    private let began: MonotonicInstant
    private var done = 0
    private var bytes = 0
    /// The length of the body, if there is only one request.
    private var announcedBytes: Int?
    private var lastShown: MonotonicInstant

    init(requests: Int, began: MonotonicInstant) {
        total = requests
        self.began = began
        lastShown = began
    }

    /// Notes the length of a body that begins. Used only if there is one request.
    mutating func announce(bytes: Int?) {
        if total == 1 { announcedBytes = bytes }
    }

    /// Counts progress.
    ///
    /// - Returns: the text to show now; nil: the work has not taken long yet, or the bar was shown a moment ago.
    mutating func advance(requests: Int, bytes: Int, now: MonotonicInstant) -> String? {
        done += requests
        self.bytes += bytes
        guard began.duration(to: now) >= Self.patience, lastShown.duration(to: now) >= Self.interval else { return nil }
        lastShown = now
        return text(after: began.duration(to: now))
    }

    private func text(after elapsed: Duration) -> String {
        let part: Double
        let words: String
        if total > 1 {
            part = Double(done) / Double(total)
            words = "\(done) of \(total) requests"
        } else if let announcedBytes, announcedBytes > 0 {
            part = Double(bytes) / Double(announcedBytes)
            words = "\(bytes >> 20) of \(announcedBytes >> 20) MiB"
        } else {
            return "\(bytes >> 20) MiB, \(DecimalText.seconds(elapsed)) s"
        }
        let filled = Int((min(1, max(0, part)) * Double(Self.width)).rounded(.down))
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: Self.width - filled)
        return "[\(bar)] \(Int(min(1, max(0, part)) * 100)) %, \(words), \(DecimalText.seconds(elapsed)) s"
    }
}
