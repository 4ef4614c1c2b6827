internal import Bowline

/// The outcomes of a churn's calls.
struct ChurnTally: Sendable, Hashable {
    /// The outcome of a call.
    enum Outcome: Sendable, Hashable {
        case succeeded
        case cancelled
        /// Failed, with the error's code or type.
        case failed(String)
    }

    /// The error codes that are expected in a churn, because the servers reset, cut and stall.
    private static let expectedCodes: Set<String> = [
        "connectTimeout", "poolAcquireTimeout", "responseHeadTimeout", "bodyIdleTimeout", "deadlineExceeded",
        "connectionClosed", "incompleteBody", "streamReset",
    ]

    private(set) var succeeded = 0
    private(set) var cancelled = 0
    /// How many calls failed, by code.
    private(set) var failures: [String: Int] = [:]
    private(set) var longest = Duration.zero

    var ended: Int { succeeded + cancelled + failed }
    var failed: Int { failures.values.reduce(0, +) }

    mutating func add(_ outcome: Outcome, after duration: Duration) {
        switch outcome {
        case .succeeded: succeeded += 1
        case .cancelled: cancelled += 1
        case .failed(let code): failures[code, default: 0] += 1
        }
        longest = max(longest, duration)
    }

    /// The figures that are wrong; empty if there are none.
    ///
    /// - Parameter limit: The longest time that a call may take: its deadline plus the delay of a busy machine.
    func violations(limit: Duration) -> [String] {
        var found: [String] = []
        for (code, count) in failures.sorted(by: { $0.key < $1.key }) where !Self.expectedCodes.contains(code) {
            found.append("\(count) calls failed with \(code)")
        }
        // Most behaviours include an answer: fewer successes mean that something else is broken.
        if succeeded * 2 < ended { found.append("only \(succeeded) of \(ended) calls succeeded") }
        if ended == 0 { found.append("no call ended") }
        if longest > limit { found.append("a call took \(longest.messageText), more than \(limit.messageText)") }
        return found
    }

    /// The tally in one line.
    var text: String {
        let codes = failures.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) \($0.key)" }
        return "\(ended) calls: \(succeeded) succeeded, \(cancelled) cancelled, \(failed) failed"
            + (codes.isEmpty ? "" : " (\(codes.joined(separator: ", ")))") + "; the longest took \(longest.messageText)"
    }
}
