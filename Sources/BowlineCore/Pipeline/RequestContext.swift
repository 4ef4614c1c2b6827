package import Synchronization

/// What is known about a request besides what it asks: its place in time, and the call it belongs to.
public struct RequestContext: Sendable {
    /// When the whole request has to be over; nil: no limit.
    public var deadline: Deadline?
    /// Which attempt this is, from 1.
    public var attempt: Int
    /// The limits in force: the client's with the request's own over them.
    public var timeouts: Timeouts
    /// The call, as the lifecycle counts it.
    package let call: CallRecord

    package init(deadline: Deadline?, attempt: Int = 1, timeouts: Timeouts, call: CallRecord) {
        self.deadline = deadline
        self.attempt = attempt
        self.timeouts = timeouts
        self.call = call
    }

    /// Makes a context, for testing a middleware or a transport by itself.
    public init(deadline: Deadline? = nil, attempt: Int = 1, timeouts: Timeouts = Timeouts()) {
        self.init(deadline: deadline, attempt: attempt, timeouts: timeouts, call: CallRecord())
    }
}

/// One call from admission to the end of its response body: what a shutdown reports about it.
package final class CallRecord: ResponseBodyObserver {
    /// Where the call is counted, and its place there. Weak: a response that somebody keeps must not keep the client.
    private weak let registry: (any CallRegistry)?
    package let slot = Atomic(-1)
    /// What events call it; 0 until the first of them.
    package let number = Atomic(0)
    /// When it was admitted.
    package let admitted: MonotonicInstant
    package let method: String
    /// The target's template, or its path.
    package let target: String
    private let progress: Atomic<UInt32>

    package init(
        admitted: MonotonicInstant = MonotonicInstant(nanoseconds: 0), method: String = "", target: String = "",
        registry: (any CallRegistry)? = nil
    ) {
        self.registry = registry
        self.admitted = admitted
        self.method = method
        self.target = target
        progress = Atomic(UInt32(RequestPhase.pipeline.rawValue) | 1 << 8)
    }

    /// The call is over: its body was consumed, given up or failed, or there never was one.
    package func responseBodyEnded() {
        registry?.callEnded(self)
    }

    /// What the call is doing now.
    package var phase: RequestPhase {
        RequestPhase(rawValue: UInt8(truncatingIfNeeded: progress.load(ordering: .relaxed))) ?? .pipeline
    }

    /// The attempt under way, from 1.
    package var attempt: Int {
        Int(progress.load(ordering: .relaxed) >> 8)
    }

    /// Notes what the call is doing.
    package func enter(_ phase: RequestPhase, attempt: Int) {
        progress.store(
            UInt32(phase.rawValue) | UInt32(truncatingIfNeeded: min(attempt, 0xFF_FFFF)) << 8, ordering: .relaxed
        )
    }
}

/// Who counts calls in flight.
package protocol CallRegistry: AnyObject, Sendable {
    /// Counts `call` no more; called again for the same call, does nothing.
    func callEnded(_ call: CallRecord)
}
