internal import Bowline
internal import Synchronization

/// Records when each attempt of a request failed, and what the client decided then.
final class DecisionRecorder: Sendable {
    private let noted = Mutex<[(at: MonotonicInstant, decision: RetryDecision)]>([])

    var decisions: [(at: MonotonicInstant, decision: RetryDecision)] { noted.withLock { $0 } }

    /// Makes the request report its retry decisions to this recorder.
    func attach(to request: inout ServiceRequest) {
        request.options.retry.onDecision = { decision in
            let now = MonotonicClock().now
            self.noted.withLock { $0.append((now, decision)) }
        }
    }
}
