internal import Bowline
internal import BowlineTesting

/// A scenario of `bowline-trust simulate`: a service, the calls to it, and what goes wrong.
struct SimulatedScenario: Sendable {
    /// The name on the command line.
    let name: String
    /// One sentence about what happens.
    let summary: String
    /// How long calls begin.
    var duration = Duration.seconds(20)
    /// When the fault begins and ends.
    var fault: Range<Duration> = .seconds(5)..<(.seconds(10))
    /// Calls per second, as a share of the service's capacity.
    var load = 0.8
    /// The share during the fault; nil: the same.
    var loadDuringFault: Double?
    var replicas = 1
    /// How many clients make the calls, each with its own budget and gates.
    var clients = 1
    /// How many services there are, each calling the next.
    var tiers = 1
    /// Sets up the faults.
    let prepare: @Sendable (_ service: SimulatedService, _ fault: Range<Duration>) -> Void

    /// Sets the options of a replica: 400 requests per second for a service with one replica.
    func configure(_ replica: inout SimulatedReplica) {
        replica.workers = 20
        replica.workTime = .exponential(mean: .milliseconds(50))
        if replicas > 1 {
            replica.workers = 8
            replica.workTime = .exponential(mean: .milliseconds(20))
        }
        replica.queueLimit = 2000
    }

    static let all: [SimulatedScenario] = [
        SimulatedScenario(
            name: "outage", summary: "The service refuses connections for 5 s, at 80 % load."
        ) { service, fault in
            service.schedule(.refused, from: fault.lowerBound, until: fault.upperBound)
        },
        SimulatedScenario(
            name: "brown-out", summary: "Half of the answers are 503 for 10 s, at 60 % load.",
            fault: .seconds(5)..<(.seconds(15)), load: 0.6
        ) { service, fault in
            service.schedule(.failing(share: 0.5), from: fault.lowerBound, until: fault.upperBound)
        },
        SimulatedScenario(
            name: "overload", summary: "Twice as many calls as the service can process for 10 s; 60 % load before.",
            fault: .seconds(5)..<(.seconds(15)), load: 0.6, loadDuringFault: 2
        ) { _, _ in },
        SimulatedScenario(
            name: "slow-replica", summary: "One of five replicas is ten times slower from 5 s on, at 50 % load.",
            fault: .seconds(5)..<(.seconds(20)), load: 0.5, replicas: 5
        ) { service, fault in
            service.schedule(.slow(by: 10), from: fault.lowerBound, until: fault.upperBound, replicas: [0])
        },
        SimulatedScenario(
            name: "healthy-replicas", summary: "Five healthy replicas at 50 % load, to compare with.",
            fault: .seconds(5)..<(.seconds(20)), load: 0.5, replicas: 5
        ) { _, _ in },
        SimulatedScenario(
            name: "failing-replica", summary: "One of five replicas answers 503 at once from 5 s on, at 50 % load.",
            fault: .seconds(5)..<(.seconds(20)), load: 0.5, replicas: 5
        ) { service, fault in
            service.schedule(.failing(), from: fault.lowerBound, until: fault.upperBound, replicas: [0])
        },
        SimulatedScenario(
            name: "amplification", summary: "Three services call each other in a row; the last one fails for 5 s.",
            load: 0.3, tiers: 3
        ) { service, fault in
            service.schedule(.failing(), from: fault.lowerBound, until: fault.upperBound)
        },
        SimulatedScenario(
            name: "herd", summary: "20 clients; the service answers 503 with Retry-After for 5 s, at 60 % load.",
            load: 0.6, clients: 20
        ) { service, fault in
            let answer = SimulatedAnswer(.serviceUnavailable, retryAfter: .seconds(1))
            service.schedule(.failing(answer), from: fault.lowerBound, until: fault.upperBound)
        },
    ]
}
