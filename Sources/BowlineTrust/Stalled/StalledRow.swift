/// The result for one window size.
struct StalledRow: Sendable, Hashable {
    /// How many bytes of memory a stream may use beside its window: one frame of the agreed maximum size, 16 KiB.
    static let allowance = 16_384
    static let header = [
        "window", "streams", "bytes sent", "KiB before", "KiB at the peak", "bytes per stream", "limit",
    ]

    let window: Int
    let streams: Int
    /// How many bytes the peer sent, each in a frame of its own.
    var sent = 0
    /// The memory that the program had allocated before the requests, and the maximum afterwards.
    var beforeKiB = 0
    var peakKiB = 0

    var limit: Int { window + Self.allowance }
    var bytesPerStream: Int { max(0, peakKiB - beforeKiB) * 1024 / max(1, streams) }

    /// The figures that are wrong; empty if there are none.
    var violations: [String] {
        var violations: [String] = []
        if sent < window * streams {
            violations.append("the peer sent \(sent) bytes, fewer than \(streams) windows of \(window)")
        }
        if bytesPerStream > limit {
            violations.append("\(bytesPerStream) bytes are held for a stream, and its window and a frame are \(limit)")
        }
        if peakKiB <= beforeKiB { violations.append("no memory was held: the run says nothing") }
        return violations
    }

    var cells: [String] {
        [window, streams, sent, beforeKiB, peakKiB, bytesPerStream, limit].map { "\($0)" }
    }
}
