internal import Bowline
internal import BowlinePlatform
internal import BowlineTesting

/// The figures of one run.
struct SimulatedFigures: Sendable {
    /// What happened within a tenth of a second.
    struct Tenth: Sendable {
        /// Calls that began.
        var calls = 0
        /// Calls that ended with a good answer.
        var good = 0
        /// Requests that arrived at the last service.
        var requests = 0
        /// The latencies of the good calls that began, in milliseconds.
        var latencies: [Double] = []
    }

    let calls: Int
    let failed: Int
    /// Requests at the last service for each call.
    let requestsPerCall: Double
    /// The same, during the fault only.
    let requestsPerCallInFault: Double
    /// Requests beyond the calls, per second of the whole run.
    let extraPerSecond: Double
    /// The time from the end of the fault until the first second of whose calls 99 % are answered well; nil: never.
    let recovery: Duration?
    /// Good answers during the fault, as a share of the service's capacity or of the calls, whichever is smaller.
    let goodputInFault: Double
    /// The most requests within 100 ms in the second after the fault, relative to the usual number.
    let peakAfterFault: Double
    /// Percentiles of the good calls that began after the fault began, in milliseconds.
    let p50: Double
    let p99: Double
    let tenths: [Tenth]

    private static let tenth = Duration.milliseconds(100)

    init(scenario: SimulatedScenario, calls: [SimulatedCalls.Call], ticks: [SimulatedTick]) {
        let count = Int(scenario.duration / Self.tenth)
        var tenths = [Tenth](repeating: Tenth(), count: count)
        for call in calls {
            let began = Self.index(call.began, below: count)
            tenths[began].calls += 1
            guard call.isGood else { continue }
            tenths[began].latencies.append(call.took.inMilliseconds)
            let ended = Self.index(call.began + call.took, below: count)
            tenths[ended].good += 1
        }
        for tick in ticks { tenths[Self.index(tick.start, below: count)].requests += tick.offered }
        self.tenths = tenths
        self.calls = calls.count
        failed = calls.filter { !$0.isGood }.count
        let requests = tenths.reduce(0) { $0 + $1.requests }
        requestsPerCall = Double(requests) / Double(max(calls.count, 1))
        extraPerSecond = Double(requests - calls.count) / scenario.duration.inMilliseconds * 1000
        let fault = tenths[Self.range(scenario.fault, below: count)]
        let inFault = fault.reduce(0) { $0 + $1.calls }
        requestsPerCallInFault = Double(fault.reduce(0) { $0 + $1.requests }) / Double(max(inFault, 1))
        let seconds = (scenario.fault.upperBound - scenario.fault.lowerBound).inMilliseconds / 1000
        let capacity = Self.capacity(scenario) * seconds
        goodputInFault = Double(fault.reduce(0) { $0 + $1.good }) / min(capacity, Double(max(inFault, 1)))
        recovery = Self.recovery(tenths, after: Self.index(scenario.fault.upperBound, below: count + 1))
        let usual = Double(tenths.prefix(50).reduce(0) { $0 + $1.calls }) / 50
        let after = tenths.dropFirst(Self.index(scenario.fault.upperBound, below: count + 1)).prefix(10)
        peakAfterFault = Double(after.map(\.requests).max() ?? 0) / max(usual, 1)
        let latencies = tenths[Self.index(scenario.fault.lowerBound, below: count)...].flatMap(\.latencies).sorted()
        p50 = Self.percentile(0.5, of: latencies)
        p99 = Self.percentile(0.99, of: latencies)
    }

    /// The capacity of the scenario's last service, per second.
    static func capacity(_ scenario: SimulatedScenario) -> Double {
        var replica = SimulatedReplica()
        scenario.configure(&replica)
        return replica.capacity * Double(scenario.replicas)
    }

    static func percentile(_ share: Double, of sorted: [Double]) -> Double {
        guard !sorted.isEmpty else { return .nan }
        return sorted[min(Int(share * Double(sorted.count)), sorted.count - 1)]
    }

    /// The natural logarithm.
    static func logarithm(_ value: Double) -> Double { log(value) }

    private static func index(_ instant: Duration, below count: Int) -> Int {
        min(max(Int(instant / tenth), 0), count - 1)
    }

    private static func range(_ instants: Range<Duration>, below count: Int) -> Range<Int> {
        Int(instants.lowerBound / tenth)..<min(Int(instants.upperBound / tenth), count)
    }

    /// Looks for the first second of whose calls 99 % were answered well.
    private static func recovery(_ tenths: [Tenth], after end: Int) -> Duration? {
        for start in end..<max(tenths.count - 10, end) {
            let second = tenths[start..<start + 10]
            let began = second.reduce(0) { $0 + $1.calls }
            let good = second.reduce(0) { $0 + $1.latencies.count }
            if Double(good) >= 0.99 * Double(began) { return tenth * (start - end) }
        }
        return nil
    }
}

extension Duration {
    /// This duration in milliseconds, with fractions.
    var inMilliseconds: Double { self / .milliseconds(1) }
}
