internal import Bowline

/// The results of all requests, of the pool and of the shutdown.
struct Summary: Sendable {
    let tally: Tally
    /// How many requests were planned. A shutdown may have begun before all of them were issued.
    let planned: Int
    /// The time from the start of the first request to the end of the last request.
    let duration: Duration
    /// The figures of the pool when the last request had ended, before the shutdown at the end of every run. A shutdown
    /// that a signal began earlier has changed these figures already.
    let pool: PoolFigures
    let shutdown: ShutdownFigures

    init(tally: Tally, planned: Int, duration: Duration, pool: PoolFigures, shutdown: ShutdownFigures) {
        self.tally = tally
        self.planned = planned
        self.duration = duration
        self.pool = pool
        self.shutdown = shutdown
    }

    init(tally: Tally, planned: Int, duration: Duration, pool: PoolSnapshot, shutdown: ShutdownReport) {
        self.init(
            tally: tally, planned: planned, duration: duration,
            pool: PoolFigures(opened: pool.opened, closed: pool.closed, idle: pool.idle),
            shutdown: ShutdownFigures(
                drained: shutdown.drained, forced: shutdown.forced.count, isClean: shutdown.isClean,
                duration: shutdown.duration
            )
        )
    }

    /// How many connections the pool has.
    struct PoolFigures: Sendable, Hashable {
        var opened: Int
        /// How many connections were closed, by reason.
        var closed: [String: Int]
        var idle: Int
    }

    /// The figures of the shutdown.
    struct ShutdownFigures: Sendable, Hashable {
        var drained: Int
        var forced: Int
        var isClean: Bool
        var duration: Duration
    }
}

extension Summary {
    /// The summary as JSON: the last line of a report for scripts. The keys and their order must not change. The key
    /// `refused` is left out if its value is 0.
    var json: String {
        var closed = JSONObject()
        for (reason, count) in pool.closed.sorted(by: { $0.key < $1.key }) { closed.add(reason, count) }
        var poolObject = JSONObject()
        poolObject.add("opened", pool.opened)
        poolObject.add("closed", closed)
        poolObject.add("idle", pool.idle)

        var shutdownObject = JSONObject()
        shutdownObject.add("drained", shutdown.drained)
        shutdownObject.add("forced", shutdown.forced)
        shutdownObject.add("isClean", shutdown.isClean)
        shutdownObject.add("seconds", seconds: shutdown.duration)

        var summary = JSONObject()
        summary.add("requests", tally.requests)
        summary.add("succeeded", tally.succeeded)
        summary.add("failed", tally.failed)
        if tally.refused > 0 { summary.add("refused", tally.refused) }
        summary.add("seconds", seconds: duration)
        summary.add("p50", milliseconds: tally.latencies.percentile(50))
        summary.add("p99", milliseconds: tally.latencies.percentile(99))
        summary.add("pool", poolObject)
        summary.add("shutdown", shutdownObject)

        var line = JSONObject()
        line.add("summary", summary)
        return line.text
    }
}
