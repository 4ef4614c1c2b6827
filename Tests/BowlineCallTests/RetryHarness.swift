import BowlineCore
import BowlineTesting
import NIOCore

@testable import BowlineCall

/// Retries over a stub, with a manual clock and a fixed random number.
struct RetryHarness: Sendable {
    let clock = TestClock()
    let stub = StubTransport()
    let budgets = RetryBudgets()
    let decisions = Journal()
    var options: RetryOptions
    var jitter = 0.5

    init(_ configure: (inout RetryOptions) -> Void = { _ in }) {
        var options = RetryOptions()
        configure(&options)
        options.onDecision = { [decisions] decision in decisions.note(decision) }
        self.options = options
    }

    /// The decisions, in order.
    final class Journal: Sendable {
        private let list = Guarded([RetryDecision]())

        var all: [RetryDecision] { list.withLock { $0 } }
        var verdicts: [RetryDecision.Verdict] { all.map(\.verdict) }

        func note(_ decision: RetryDecision) { list.withLock { $0.append(decision) } }
    }

    /// The pipeline of a call with these retries and nothing else.
    var road: TestRoad {
        TestRoad {
            $0.retry = options
            $0.budgets = budgets
            $0.clock = clock
            $0.random = { [jitter] in jitter }
        }
    }

    var pipeline: Next {
        get throws { try road.over(stub) }
    }

    func request(_ method: HTTPRequest.Method = .get, body: RequestBody = .none) throws -> ServiceRequest {
        var request = ServiceRequest(method: method, "/x", body: body)
        request.url = try ServiceURL("http://stub.invalid/x")
        return request
    }

    /// Without the stub's own limits, so that nothing but retries sleeps on the clock.
    private var timeouts: Timeouts {
        var timeouts = Timeouts()
        timeouts.responseHead = nil
        timeouts.bodyIdle = nil
        return timeouts
    }

    func context(deadline: Duration? = nil, attempt: Int = 1) -> RequestContext {
        RequestContext(
            deadline: deadline.map { Deadline(clock.now.advanced(by: $0)) }, attempt: attempt, timeouts: timeouts,
            call: CallRecord(admitted: clock.now, clock: clock)
        )
    }

    /// Sends a request and moves the clock over every sleep.
    func send(
        _ request: ServiceRequest? = nil, context: RequestContext? = nil, through pipeline: Next? = nil
    ) async throws -> Result<ServiceResponse, any Error> {
        let request = try request ?? self.request()
        let context = context ?? self.context()
        let done = Gate()
        let pipeline = try pipeline ?? self.pipeline
        let task = Task {
            defer { done.open() }
            return try await pipeline(request, context: context)
        }
        try await eventually("the call to end") {
            if !done.isOpen { clock.advanceToNextDeadline() }
            return done.isOpen
        }
        return await task.result
    }
}
