import BowlineCore
import BowlineTesting
import NIOCore
import Synchronization
import Testing

@testable import BowlineCall

/// Hedges over a stub, with a manual clock. By default a hedge is sent after 10 ms, and nothing is retried.
struct HedgingHarness: Sendable {
    let clock = TestClock()
    let stub = StubTransport()
    let budgets = RetryBudgets()
    let latencies = HedgingLatencies()
    let registry = TestRegistry()
    var hedging = HedgingOptions()
    var retry = RetryOptions()
    /// Changes the rest of the road.
    var configure: @Sendable (inout TestRoad) -> Void = { _ in }

    static let url = "http://stub.invalid/x"
    static let delay = Duration.milliseconds(10)

    init() {
        hedging.delay = .after(Self.delay)
        retry.maximumAttempts = 1
    }

    func request(
        _ method: HTTPRequest.Method = .get, body: RequestBody = .none,
        options: (inout RequestOptions) -> Void = { _ in }
    ) throws -> ServiceRequest {
        var request = ServiceRequest(method: method, Self.url, body: body)
        request.url = try ServiceURL(Self.url)
        options(&request.options)
        return request
    }

    /// A context without the stub's own limits, so that nothing but the hedges, and the retries, sleeps on the clock.
    func context(deadline: Duration? = nil) -> RequestContext {
        var timeouts = Timeouts()
        timeouts.responseHead = nil
        timeouts.bodyIdle = nil
        return RequestContext(
            deadline: deadline.map { Deadline(clock.now.advanced(by: $0)) }, timeouts: timeouts,
            call: CallRecord(admitted: clock.now, method: "GET", target: "/x", registry: registry, clock: clock))
    }

    /// The pipeline of a call.
    func next() throws -> Next {
        let road = TestRoad {
            $0.retry = retry
            $0.hedging = hedging
            $0.latencies = latencies
            $0.budgets = budgets
            $0.clock = clock
            configure(&$0)
        }
        return try road.over(stub)
    }

    /// Begins a call.
    func start(
        _ request: ServiceRequest? = nil, _ context: RequestContext? = nil
    ) throws -> Task<ServiceResponse, any Error> {
        let request = try request ?? self.request()
        let context = context ?? self.context()
        let next = try next()
        return Task { try await next(request, context: context) }
    }

    /// Waits until the attempt before the hedge is at the stub and the timer is set, then moves the clock to the hedge.
    func passDelay(after calls: Int = 1) async throws {
        try await stub.waitForCalls(count: calls)
        try await clock.waitForSleepers()
        clock.advance(by: Self.delay)
    }

    /// Begins a call, and returns when the stub has its first attempt and its hedge.
    func startHedged(
        _ request: ServiceRequest? = nil, _ context: RequestContext? = nil
    ) async throws -> Task<ServiceResponse, any Error> {
        let task = try start(request, context)
        try await passDelay()
        try await stub.waitForCalls(count: 2)
        return task
    }

    /// How many more retries the budget allows.
    func budgetLeft() throws -> Int {
        guard let options = retry.budget else { return 0 }
        return budgets.left(for: try ServiceURL(Self.url).origin, at: clock.now, options)
    }

    /// Whether each call at the stub was a hedge.
    var hedges: [Bool] { stub.calls.map(\.context.isHedge) }
}

/// Counts the calls of a test, and says whether the client drains.
final class TestRegistry: CallRegistry {
    private let state = Guarded((isDraining: false, reads: 0))

    /// How many times the state was read.
    var reads: Int { state.withLock { $0.reads } }

    func beginDrain() { state.withLock { $0.isDraining = true } }

    var isDraining: Bool {
        state.withLock { state in
            state.reads += 1
            return state.isDraining
        }
    }

    func callEnded(_ call: CallRecord) {}
    func waitForDrainToBegin() async { try? await Gate().wait() }
    func onForcedClose(_ call: CallRecord, _ handler: @escaping @Sendable () -> Void) -> Int? { nil }
    func removeForcedCloseHandler(_ number: Int) {}
}

/// A clock that counts the sleeps on another clock.
final class SleepCountingClock: ServiceClock {
    private let base: TestClock
    private let count = Atomic(0)

    init(_ base: TestClock) {
        self.base = base
    }

    var sleeps: Int { count.load(ordering: .sequentiallyConsistent) }
    var now: MonotonicInstant { base.now }
    var minimumResolution: Duration { base.minimumResolution }

    func sleep(until deadline: MonotonicInstant, tolerance: Duration?) async throws {
        count.add(1, ordering: .sequentiallyConsistent)
        try await base.sleep(until: deadline, tolerance: tolerance)
    }
}

/// A listener that keeps the events of hedges as short texts.
final class HedgeEvents: ServiceEventListener {
    private let kept = Shared<[String]>([])

    var texts: [String] { kept.value }

    private func note(_ text: String, _ event: RequestEvent) {
        kept.change { $0.append("\(text) call \(event.request) attempt \(event.attempt) hedge \(event.hedge)") }
    }

    func hedgeBegan(_ event: RequestEvent, delay: Duration) { note("began after \(delay):", event) }
    func hedgeEnded(_ event: RequestEvent, winner: Int) { note("ended, winner \(winner):", event) }
    func retryBegan(_ event: RequestEvent) { note("retry:", event) }
    func gateRefused(_ event: RequestEvent, _ refusal: GateRefusal) { note("refused \(refusal.gate):", event) }
}
