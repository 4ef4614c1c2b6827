internal import Bowline
internal import BowlineTesting

/// Runs one scenario with one kind of client and one seed, in virtual time.
struct SimulatedRun {
    let scenario: SimulatedScenario
    let client: SimulatedClient
    let seed: UInt64

    /// Runs the scenario until every call has ended.
    func run() async throws -> SimulatedFigures {
        let (scenario, client, seed) = (scenario, client, seed)
        return try await withVirtualTime(seed: seed) { time in
            let service = SimulatedService(time, host: "last.test", replicas: scenario.replicas) {
                scenario.configure(&$0)
            }
            scenario.prepare(service, scenario.fault)
            let (first, between) = try Self.chain(scenario, client, time, last: service)
            let callers = try (0..<scenario.clients).map { _ in
                try client.make(
                    time, baseURL: first.baseURL, transport: first,
                    endpoints: scenario.replicas > 1 ? first.endpoints : [])
            }
            let calls = SimulatedCalls()
            await Self.call(callers, scenario, capacity: service.capacity, calls, time)
            for caller in callers + between { await caller.shutdown(within: .seconds(1)) }
            return SimulatedFigures(scenario: scenario, calls: calls.all, ticks: service.ticks)
        }
    }

    /// Puts services before the last one, each calling the next. Returns the first service, and the clients between
    /// the services.
    private static func chain(
        _ scenario: SimulatedScenario, _ client: SimulatedClient, _ time: VirtualTime, last: SimulatedService
    ) throws -> (SimulatedService, [ServiceClient]) {
        var first = last
        var between: [ServiceClient] = []
        for tier in stride(from: scenario.tiers - 1, to: 0, by: -1) {
            let next = try client.make(time, baseURL: first.baseURL, transport: first, endpoints: [])
            between.append(next)
            first = SimulatedService(time, host: "tier\(tier).test") { replica in
                replica.workers = 1000
                replica.workTime = .constant(.milliseconds(1))
                replica.respond = { _ in
                    // A failure of the next service becomes a failure of this one, which callers may retry.
                    let response = try? await next.get("next")
                    return SimulatedAnswer(response?.status == .ok ? .ok : .serviceUnavailable)
                }
            }
        }
        return (first, between)
    }

    /// Begins calls at random instants (a Poisson process), and returns when all of them have ended.
    private static func call(
        _ callers: [ServiceClient], _ scenario: SimulatedScenario, capacity: Double, _ calls: SimulatedCalls,
        _ time: VirtualTime
    ) async {
        var random = time.makeRandom("calls")
        await withDiscardingTaskGroup { group in
            var instant = Duration.zero
            var number = 0
            while true {
                let isFault = scenario.fault.contains(instant)
                let rate = capacity * (isFault ? scenario.loadDuringFault ?? scenario.load : scenario.load)
                instant += .seconds(-SimulatedFigures.logarithm(1 - random.nextDouble()) / rate)
                guard instant < scenario.duration else { break }
                try? await time.sleep(untilElapsed: instant)
                let caller = callers[number % callers.count]
                number += 1
                group.addTask {
                    let began = time.elapsed
                    let response = try? await caller.get("thing")
                    calls.ended(began: began, took: time.elapsed - began, isGood: response?.status == .ok)
                }
            }
        }
    }
}

/// The calls of a run.
final class SimulatedCalls: Sendable {
    /// A call that has ended.
    struct Call: Sendable {
        let began: Duration
        let took: Duration
        let isGood: Bool
    }

    private let calls = Guarded<[Call]>([])

    func ended(began: Duration, took: Duration, isGood: Bool) {
        calls.withLock { $0.append(Call(began: began, took: took, isGood: isGood)) }
    }

    var all: [Call] { calls.withLock { $0 } }
}
