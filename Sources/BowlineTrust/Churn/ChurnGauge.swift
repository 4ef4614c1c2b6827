/// The measurements of one moment of a churn.
struct ChurnSample: Sendable {
    /// The time since the run began, in seconds.
    var seconds = 0.0
    /// Calls that have ended.
    var calls = 0
    /// Memory that the program has allocated; if the system does not report that, the resident memory.
    var memoryKiB = 0
    /// Open file descriptors, the servers' included.
    var descriptors = 0
    var threads = 0
    /// Calls that still have a task.
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

/// One of the measurements, with the rise that is allowed in the tested part of a run.
struct ChurnGauge: Sendable {
    /// The significance, in standard deviations, below which a trend counts as noise. Of 1,000 series without a trend,
    /// about one is above this number.
    static let significance = 3.0

    let name: String
    /// The smallest limit of the rise.
    let leastLimit: Double
    /// The limit of the rise as a share of the median. The larger of the two limits applies.
    let share: Double
    private let read: @Sendable (ChurnSample) -> Int

    init(_ name: String, leastLimit: Double, share: Double, _ read: @escaping @Sendable (ChurnSample) -> Int) {
        self.name = name
        self.leastLimit = leastLimit
        self.share = share
        self.read = read
    }

    func value(_ sample: ChurnSample) -> Int { read(sample) }

    /// Returns the gauges of a churn with this number of callers.
    ///
    /// Calls, connections and the memory that they use are bounded but fluctuate, so these gauges may rise by a part of
    /// their median. The memory check at the end of the run finds a smaller leak.
    static func all(callers: Int) -> [ChurnGauge] {
        let calls = Double(callers) / 4
        return [
            ChurnGauge("memory KiB", leastLimit: 16_384, share: 0.1) { $0.memoryKiB },
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

    /// Judges the gauge from the samples after the warm-up.
    func verdict(_ samples: [ChurnSample]) -> Verdict {
        let trend = Trend(times: samples.map(\.seconds), values: samples.map { Double(value($0)) })
        return Verdict(name: name, trend: trend, limit: max(leastLimit, share * trend.median))
    }

    /// A gauge's trend beside its limit.
    struct Verdict: Sendable, Hashable {
        let name: String
        let trend: Trend
        /// How much the gauge may rise from the first to the last sample.
        let limit: Double

        /// Whether the gauge rises beyond its limit, and not by chance.
        var isLeak: Bool { trend.rise > limit && trend.significance > ChurnGauge.significance }
    }
}
