internal import Bowline
internal import Synchronization

/// The indices of the requests: workers take them until none is left.
final class WorkQueue: Sendable {
    private let next = Atomic(0)
    private let count: Int

    init(count: Int) {
        self.count = count
    }

    /// Returns the next index; nil: all were taken.
    func take() -> Int? {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        return index < count ? index : nil
    }
}

/// Sends one request after another until none is left, or until a request is refused because the shutdown has begun.
struct Worker: Sendable {
    let client: ServiceClient
    let plan: RequestPlan
    let queue: WorkQueue
    let ending: Ending
    let consumer: BodyConsumer
    let report: RunReport
    private let clock = MonotonicClock()

    init(
        client: ServiceClient, plan: RequestPlan, queue: WorkQueue, ending: Ending, consumer: BodyConsumer,
        report: RunReport
    ) {
        self.client = client
        self.plan = plan
        self.queue = queue
        self.ending = ending
        self.consumer = consumer
        self.report = report
    }

    /// Sends requests until there is nothing more to do.
    func run() async -> Tally {
        var tally = Tally()
        var isFirst = true
        while let index = queue.take() {
            if let interval = plan.interval, !isFirst { await ending.pause(for: interval) }
            isFirst = false
            tally.record(await perform(index))
            if tally.refused > 0 { break }
        }
        return tally
    }

    /// Sends the request with this index, and reports it unless the run is quiet.
    ///
    /// - Parameter due: When the request was to begin; its duration counts from then. nil: now.
    func perform(_ index: Int, due: MonotonicInstant? = nil) async -> Tally.Entry {
        let began = due ?? clock.now
        guard !plan.output.isQuiet else { return await sendQuietly(index, began: began) }
        let outcome = await send(index, began: began)
        report.requestEnded(outcome)
        return Tally.Entry(outcome, failsOnStatus: plan.output.failsOnStatus)
    }

    /// Sends a request. Makes nothing that the summary does not need, because `--quiet` is for measuring.
    private func sendQuietly(_ index: Int, began: MonotonicInstant) async -> Tally.Entry {
        defer { consumer.console.advance(requests: 1) }
        do {
            let response = try await client.send(plan.requests[plan.place(of: index)])
            var body = BodyTally()
            try await consumer.consume(response.body, into: &body)
            let status = response.status.code
            if plan.output.failsOnStatus, status >= 400 { return .failure("status \(status)") }
            return .success(nanoseconds: clock.now.nanoseconds - began.nanoseconds)
        } catch {
            let failure = Failure(error)
            return failure.isRefusal ? .refusal : .failure(failure.code)
        }
    }

    private func send(_ index: Int, began: MonotonicInstant) async -> Outcome {
        let place = plan.place(of: index)
        var outcome = Outcome(index: index, url: plan.urls[place])
        var body = BodyTally(digest: plan.output.dropsBodies ? nil : SHA256())
        let recorder = plan.output.isVerbose ? DecisionRecorder() : nil
        var timings: PhaseTimings?
        do {
            var request = plan.requests[place]
            if let recorder { recorder.attach(to: &request) }
            let response = try await client.send(request)
            timings = response.timings
            outcome.response = Outcome.Received(response)
            if plan.output.isVerbose { outcome.response?.headers = Self.fields(response.receivedFields) }
            try await consumer.consume(response.body, into: &body)
            if plan.output.isVerbose, let trailers = response.body.trailers {
                outcome.response?.trailers = Self.fields(trailers)
            }
        } catch {
            outcome.failure = Failure(error)
        }
        let ended = clock.now
        outcome.duration = began.duration(to: ended)
        outcome.timeline = recorder.map {
            Timeline(
                began: began, decisions: $0.decisions, timings: timings,
                redirects: outcome.response?.redirects ?? 0, attempts: outcome.response?.attempts, ended: ended)
        }
        outcome.response?.bytes = body.bytes
        outcome.response?.sha256 = body.digest?.hexDigest()
        consumer.console.advance(requests: 1)
        return outcome
    }

    private static func fields(_ section: ReceivedFields) -> [Outcome.Field] {
        section.map { Outcome.Field(name: $0.name, value: $0.value) }
    }
}
