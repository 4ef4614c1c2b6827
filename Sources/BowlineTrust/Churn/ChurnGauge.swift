/// What was measured at one moment of a churn.
struct ChurnSample: Sendable {
    /// Since the run began, in seconds.
    var seconds = 0.0
    /// Calls that have ended.
    var calls = 0
    /// Memory that the program holds; where that is not known, what is resident.
    var memoryKiB = 0
    /// Open file descriptors, the servers' included.
    var descriptors = 0
    var threads = 0
    /// Calls of which a task is left.
    var tasks = 0
    /// Calls that the client counts as in flight.
    var inFlight = 0
    /// Connections in use.
    var active = 0
    /// Unused connections.
    var idle = 0
    var dialling = 0
    /// Calls that wait for a connection.
    var waiting = 0
    /// Requests on HTTP/2 connections.
    var streams = 0
    /// Origins that have a pool.
    var pools = 0
}

/// One of the measurements, and how much it may rise during the tested part of a run.
struct ChurnGauge: Sendable {
    /// A trend below this, in standard deviations, is noise: one series in a thousand without a trend is above.
    static let significance = 3.0

    let name: String
    /// What a rise may be at least.
    let leastLimit: Double
    /// What a rise may be as a share of the median.
    let share: Double
    private let read: @Sendable (ChurnSample) -> Int

    init(_ name: String, leastLimit: Double, share: Double, _ read: @escaping @Sendable (ChurnSample) -> Int) {
        self.name = name
        self.leastLimit = leastLimit
        self.share = share
        self.read = read
    }

    func value(_ sample: ChurnSample) -> Int { read(sample) }

    /// The gauges of a churn with so many callers.
    ///
    /// What is bounded by design (calls, connections, and the memory that they hold) fluctuates, so a part of its median is
    /// allowed. A smaller leak of memory shows in what is left at the end of the run.
    static func all(callers: Int) -> [ChurnGauge] {
        let calls = Double(callers) / 4
        return [
            ChurnGauge("memory KiB", leastLimit: 16_384, share: 0.2) { $0.memoryKiB },
            ChurnGauge("descriptors", leastLimit: 20, share: 0.1) { $0.descriptors },
            ChurnGauge("threads", leastLimit: 2, share: 0) { $0.threads },
            ChurnGauge("tasks", leastLimit: calls, share: 0) { $0.tasks },
            ChurnGauge("in flight", leastLimit: calls, share: 0) { $0.inFlight },
            ChurnGauge("active", leastLimit: max(calls, 10), share: 0.1) { $0.active },
            ChurnGauge("idle", leastLimit: 20, share: 0.1) { $0.idle },
            ChurnGauge("dialling", leastLimit: calls, share: 0) { $0.dialling },
            ChurnGauge("waiting", leastLimit: calls, share: 0) { $0.waiting },
            ChurnGauge("streams", leastLimit: max(calls, 10), share: 0.1) { $0.streams },
            ChurnGauge("pools", leastLimit: 5, share: 0) { $0.pools },
        ]
    }

    /// What the samples after the warm-up say of it.
    func verdict(_ samples: [ChurnSample]) -> Verdict {
        let trend = Trend(times: samples.map(\.seconds), values: samples.map { Double(value($0)) })
        return Verdict(name: name, trend: trend, limit: max(leastLimit, share * trend.median))
    }

    /// A gauge's trend beside its limit.
    struct Verdict: Sendable, Hashable {
        let name: String
        let trend: Trend
        /// How much it may rise from the first to the last sample.
        let limit: Double

        /// Whether it rises beyond its limit, and not by chance.
        var isLeak: Bool { trend.rise > limit && trend.significance > ChurnGauge.significance }
    }
}
