internal import Bowline

/// How one request spent its time, phase by phase, over all its attempts.
struct Timeline: Sendable, Hashable {
    /// A phase of the request.
    struct Span: Sendable, Hashable {
        let name: String
        /// When the span starts, counted from the beginning of the request.
        let start: Duration
        let duration: Duration
    }

    private(set) var spans: [Span] = []

    /// - Parameters:
    ///   - began: When the request was given to the client.
    ///   - decisions: What the client decided after each attempt that did not succeed, and when.
    ///   - timings: The phases of the last attempt; nil: there is no response.
    ///   - redirects: How many redirects were followed.
    ///   - attempts: How many attempts the last hop had; nil: not known.
    ///   - ended: When the request was over.
    init(
        began: MonotonicInstant, decisions: [(at: MonotonicInstant, decision: RetryDecision)], timings: PhaseTimings?,
        redirects: Int = 0, attempts: Int? = nil, ended: MonotonicInstant
    ) {
        var reached = began
        func add(_ name: String, until end: MonotonicInstant?, _ spans: inout [Span]) {
            guard let end, end >= reached else { return }
            spans.append(
                Span(name: name, start: began.duration(to: reached), duration: reached.duration(to: end)))
            reached = end
        }
        var retries = 0
        for (at, decision) in decisions {
            guard case .retry(let delay) = decision.verdict else { continue }
            retries += 1
            let cause =
                switch decision.cause {
                case .status(let status): "\(status)"
                case .error(let code): code.rawValue
                }
            add("attempt \(decision.attempt): \(cause)", until: at, &spans)
            add("sleep", until: at.advanced(by: delay), &spans)
        }
        guard let timings, let started = timings.started else {
            add("attempt", until: ended, &spans)
            return
        }
        if reached.duration(to: started) > .microseconds(500) {
            let name =
                if redirects > 0 {
                    "redirects"
                } else if let attempts, attempts > retries + 1 {
                    // The request was sent again after a 417 or a 401. That is no retry, so there is no retry decision.
                    "attempts"
                } else {
                    retries > 0 ? "resume" : "prepare"
                }
            add(name, until: started, &spans)
        }
        reached = max(reached, started)
        if let dial = timings.dial, let leased = timings.leased {
            let dialled = max(reached, leased.advanced(by: .zero - dial))
            add("queue", until: dialled, &spans)
            let steps = Self.steps(of: timings, from: dialled, to: leased)
            for step in steps { add(step.name, until: step.end, &spans) }
        } else {
            add("queue", until: timings.leased, &spans)
        }
        add("send", until: timings.sent, &spans)
        add("wait", until: timings.firstByte, &spans)
        add("head", until: timings.head, &spans)
        add("body", until: ended, &spans)
    }

    /// Returns the steps of a dial with their ends. The last step ends with the dial, unless a larger part of the dial
    /// belongs to no step; that part is named `dial`.
    private static func steps(
        of timings: PhaseTimings, from start: MonotonicInstant, to end: MonotonicInstant
    ) -> [(name: String, end: MonotonicInstant)] {
        let durations = [
            ("resolve", timings.resolve), ("connect", timings.connect), ("tunnel", timings.tunnel),
            ("TLS", timings.tls),
        ]
        var steps: [(name: String, end: MonotonicInstant)] = []
        for (name, duration) in durations {
            guard let duration else { continue }
            let begin = steps.last?.end ?? start
            steps.append((name, min(begin.advanced(by: duration), end)))
        }
        guard let last = steps.last, last.end.duration(to: end) <= .microseconds(500) else {
            return steps + [("dial", end)]
        }
        steps[steps.count - 1].end = end
        return steps
    }
}
