import BowlineCore
import BowlineTesting

@testable import BowlineCall

/// A simulated fleet behind a balancer's machine: attempts arrive at random times, and each endpoint answers after a
/// random time. Seeded.
struct BalancerScenario {
    /// How an endpoint behaves.
    struct Replica {
        var listing: EndpointListing
        /// The mean time of an answer.
        var mean = 0.01
        /// The share of attempts that fail.
        var failing = 0.0

        init(_ name: String, weight: Int = 1, zone: String? = nil, mean: Double = 0.01, failing: Double = 0) {
            listing = BowlineCallTests.listing(name, weight: weight, zone: zone)
            self.mean = mean
            self.failing = failing
        }
    }

    private struct Answer {
        let at: Double
        let began: Double
        let pass: BalancerPass
        let name: String
    }

    private(set) var machine = BalancerStateMachine()
    var options = BalancingOptions()
    private var random: SeededRandom
    private var replicas: [String: Replica] = [:]
    /// The names of the endpoints, in the order of the list.
    private var names: [String] = []
    private var answers: [Answer] = []
    private(set) var time = 0.0
    /// The attempts of each endpoint since the last ``reset()``.
    private(set) var attempts: [String: Int] = [:]
    private(set) var latencies: [Double] = []

    init(seed: UInt64, _ configure: (inout BalancingOptions) -> Void = { _ in }) {
        random = SeededRandom(seed: seed)
        configure(&options)
    }

    mutating func use(_ fleet: [Replica]) {
        names = fleet.map { Self.name($0.listing.place) }
        for (name, replica) in zip(names, fleet) { replicas[name] = replica }
        _ = machine.endpointsReplaced(by: fleet.map(\.listing), at: instant, options)
    }

    mutating func reset() {
        attempts = [:]
        latencies = []
    }

    /// Sends attempts at this rate for some seconds.
    mutating func run(rate: Double, seconds: Double) {
        let end = time + seconds
        var next = time + exponential(1 / rate)
        while true {
            if let answer = answers.last, answer.at <= min(next, end) {
                answers.removeLast()
                time = answer.at
                finish(answer)
            } else if next < end {
                time = next
                next += exponential(1 / rate)
                send()
            } else {
                time = end
                return
            }
        }
    }

    /// The share of the attempts that an endpoint has had.
    func share(_ name: String) -> Double {
        Double(attempts[name] ?? 0) / Double(max(1, attempts.values.reduce(0, +)))
    }

    /// The latency that this share of the attempts has not exceeded.
    func percentile(_ share: Double) -> Double {
        let sorted = latencies.sorted()
        return sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(share * Double(sorted.count)))]
    }

    private mutating func send() {
        let choice = machine.choose(at: instant, random: random.nextDouble(), options)
        guard let pass = choice.pass else { return }
        let name = names[pass.index]
        attempts[name, default: 0] += 1
        let answer = Answer(at: time + exponential(replicas[name]?.mean ?? 0), began: time, pass: pass, name: name)
        // The answers are ordered, the next one last.
        let place = answers.firstIndex { $0.at < answer.at } ?? answers.count
        answers.insert(answer, at: place)
    }

    private mutating func finish(_ answer: Answer) {
        let latency = time - answer.began
        latencies.append(latency)
        let isFailure = random.nextBool(probability: replicas[answer.name]?.failing ?? 0)
        let duration = Duration.nanoseconds(Int64(latency * 1e9))
        _ = machine.attemptEnded(
            answer.pass, isFailure ? .failure(after: duration) : .success(after: duration), at: instant, options)
    }

    private var instant: MonotonicInstant { MonotonicInstant(nanoseconds: Int64(time * 1e9)) }

    /// A random time of an exponential distribution, at most ten times the mean.
    private mutating func exponential(_ mean: Double) -> Double {
        // ln(1/u), from the exponent and a series for the rest: the tests import no C library.
        let u = max(random.nextDouble(), 0x1p-40)
        let rest = (u.significand - 1) / (u.significand + 1)
        var (series, power) = (0.0, rest)
        for odd in stride(from: 1.0, through: 15, by: 2) {
            series += power / odd
            power *= rest * rest
        }
        return min(10, -(Double(u.exponent) * 0.693147180559945 + 2 * series)) * mean
    }

    static func name(_ place: BalancedEndpoint) -> String {
        String((place.url?.origin.host ?? "?").prefix { $0 != "." })
    }
}
