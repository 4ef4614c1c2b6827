internal import Bowline
internal import Testing

@testable import BowlineTool

@Suite("Requests at a pace", .timeLimit(.minutes(1)))
struct OpenLoopTests {
    /// A loop of 20 requests to a port on which nothing listens.
    private static func make(pace: Double) throws -> (loop: OpenLoop, ending: Ending) {
        let plan = try CommandLine.plan(
            ["http://127.0.0.1:1/", "-n", "20", "--pace", "\(pace)", "--max-attempts", "1", "--no-proxy", "--quiet"])
        let client = try ServiceClient { $0 = plan.configuration }
        let ending = Ending(client: client, drain: .zero)
        let console = Console(plan: plan.output, requests: plan.count, onBrokenPipe: {})
        let worker = Worker(
            client: client, plan: plan, queue: WorkQueue(count: plan.count), ending: ending,
            consumer: BodyConsumer(plan: plan.output, file: nil, console: console),
            report: RunReport(plan: plan.output, console: console))
        return (OpenLoop(worker: worker, pace: try #require(plan.pace), executors: []), ending)
    }

    @Test("All requests are sent and counted, the last not before it is due")
    func all() async throws {
        let (loop, ending) = try Self.make(pace: 400)
        let clock = MonotonicClock()
        let began = clock.now
        let tally = await loop.run()
        #expect(tally.failures == ["connectionRefused": 20])
        #expect(began.duration(to: clock.now) >= .microseconds(47_500))
        _ = await ending.finish()
    }

    @Test("A shutdown ends the wait for the next request, and no further one begins")
    func shutdown() async throws {
        let (loop, ending) = try Self.make(pace: 0.001)
        async let tally = loop.run()
        ending.begin()
        #expect(await tally.requests <= 1)
        _ = await ending.finish()
    }
}
