internal import Bowline

extension Outcome {
    /// Returns the line for people. If more is asked for, the proxy and the header and trailer fields are below it.
    func readable(isVerbose: Bool) -> String {
        var parts = ["\(index)".padded(to: 5)]
        if let response { parts.append("\(response.status)") }
        if let failure {
            let circumstances = [failure.progress, failure.phase].compactMap { $0 }.joined(separator: ", ")
            parts.append(circumstances.isEmpty ? failure.code : "\(failure.code) (\(circumstances))")
        }
        parts.append("\(DecimalText.milliseconds(duration)) ms".padded(to: 12))
        if let response { parts.append("\(response.bytes) bytes".padded(to: 12)) }
        if let connection {
            parts.append(Self.words(connection))
        } else if response != nil {
            parts.append("no connection")
        }
        if let redirects = response?.redirects, redirects > 0 { parts.append("\(redirects) redirects") }
        if let attempts, attempts > 1 { parts.append("\(attempts) attempts") }
        if let resends, resends > 0 { parts.append("sent again on a new connection") }
        // Shown only if the line does not already say it as attempts and resends.
        if let requestsSent, requestsSent > (attempts ?? 0) + (resends ?? 0) {
            parts.append("\(requestsSent) requests sent")
        }
        parts.append(url)
        if let failure { parts.append("- \(failure.message)") }
        var lines = [parts.joined(separator: "  ")]
        if isVerbose, let proxy = connection?.proxy { lines.append("       proxy \(proxy)") }
        if isVerbose, let response {
            lines += response.headers.map { "       \($0.name): \($0.value)" }
            lines += response.trailers.map { "       trailer \($0.name): \($0.value)" }
            if let digest = response.sha256 { lines.append("       sha256 of the body: \(digest)") }
        }
        if let timeline { lines += timeline.picture().map { "       \($0)" } }
        return lines.joined(separator: "\n")
    }

    private static func words(_ connection: ConnectionFacts) -> String {
        let age = connection.isReused ? "request \(connection.requests)" : "new"
        return "\(connection.protocolVersion.rawValue) on connection \(connection.id), \(age)"
    }
}

extension Summary {
    /// The table for people at the end.
    var readable: String {
        var rows = [("requests", requestWords)]
        if !tally.failures.isEmpty { rows.append(("failures", Self.list(tally.failures))) }
        rows.append(("time", timeWords))
        var connections = "\(pool.opened) opened, \(pool.idle) idle when the last request had ended"
        if !pool.closed.isEmpty { connections += "; closed: \(Self.list(pool.closed))" }
        rows.append(("connections", connections))
        let end = shutdown.isClean ? "clean" : "\(shutdown.forced) cut off"
        rows.append(("shutdown", "\(end), \(shutdown.drained) drained, \(DecimalText.seconds(shutdown.duration)) s"))
        let width = rows.map { $0.0.count }.max() ?? 0
        return rows.map { "\($0.0)\(String(repeating: " ", count: width - $0.0.count))  \($0.1)" }
            .joined(separator: "\n")
    }

    private var requestWords: String {
        var words = "\(tally.requests): \(tally.succeeded) succeeded, \(tally.failed) failed"
        if tally.refused > 0 { words += ", \(tally.refused) refused by the shutdown" }
        if planned > tally.requests { words += "; \(planned - tally.requests) of \(planned) not begun" }
        return words
    }

    private var timeWords: String {
        var words = "\(DecimalText.seconds(duration)) s"
        if let median = tally.latencies.percentile(50), let slow = tally.latencies.percentile(99) {
            words += "; half within \(DecimalText.milliseconds(median)) ms"
            words += ", 99 % within \(DecimalText.milliseconds(slow)) ms"
        }
        return words
    }

    /// The failures, for standard error if standard output has no place for them.
    var failureList: String? {
        tally.failures.isEmpty ? nil : "\(tally.failed) failed: \(Self.list(tally.failures))"
    }

    private static func list(_ counts: [String: Int]) -> String {
        counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    }
}

extension String {
    /// Returns this text with spaces before it, up to `width`.
    fileprivate func padded(to width: Int) -> String {
        String(repeating: " ", count: max(0, width - count)) + self
    }
}
