internal import Bowline
internal import BowlineTesting

extension SimulationPlan.Shutdown {
    /// Draws a shutdown that begins at most 2 s after the last call.
    static func drawn(_ random: inout SeededRandom, lastCall: Duration) -> Self {
        let limits: [Duration] = [.zero, .milliseconds(50), .seconds(1), .seconds(10)]
        var drawn = Self(
            at: .microseconds(random.next(in: 0..<Int(lastCall / .microseconds(1)) + 2_000_000)),
            limit: limits.picked(&random, else: .seconds(1)))
        if random.nextBool(probability: 0.2) {
            // Not at once: it would come before the first one if jobs are shuffled.
            drawn.second = (.milliseconds(max(1, random.next(in: 0..<500))), limits.picked(&random, else: .zero))
        }
        if random.nextBool(probability: 0.1) { drawn.cancelAfter = .milliseconds(random.next(in: 0..<500)) }
        return drawn
    }

    /// Shuts a client down as planned.
    ///
    /// - Parameter drainBegan: Called when the drain begins. No other job of the simulation runs in between.
    /// - Returns: the report of the first shutdown.
    func perform(
        on client: ServiceClient, _ time: VirtualTime, drainBegan: @escaping @Sendable () -> Void
    ) async -> SimulationShutdownRecord? {
        let limit = limit
        try? await time.sleep(untilElapsed: at)
        let task = time.startTask {
            var inFlight = 0
            for await progress in client.shutdownProgress {
                inFlight = progress.inFlight
                break
            }
            // From here to the begin of the drain, no other job runs.
            time.note("caller: shuts down within \(limit), \(inFlight) calls in flight")
            drainBegan()
            return (inFlight, await client.shutdown(within: limit))
        }
        if let second {
            try? await time.sleep(for: second.after)
            _ = await client.shutdown(within: second.limit)
        }
        if let cancelAfter {
            try? await time.sleep(for: cancelAfter)
            task.cancel()
        }
        guard let (inFlight, report) = try? await task.value else { return nil }
        time.note("caller: \(report)")
        return SimulationShutdownRecord(
            inFlight: inFlight, limit: limit, report: report, isDisturbed: second != nil || cancelAfter != nil)
    }
}

extension SimulationShutdownRecord {
    /// The violated rules of a shutdown.
    ///
    /// - Parameters:
    ///   - cut: How many calls failed with `forciblyClosed`.
    ///   - lateness: How late the end of the limit may be noticed.
    func violations(cut: Int, lateness: Duration) -> [String] {
        var violations: [String] = []
        if report.drained + report.forced.count != inFlight {
            violations.append(
                "the report counts \(report.drained) drained and \(report.forced.count) forced of \(inFlight) calls in "
                    + "flight")
        }
        if report.isClean != report.forced.isEmpty { violations.append("the report says clean: \(report.isClean)") }
        // Connections get one more second.
        if !isDisturbed, report.duration > limit + .seconds(1) + lateness {
            violations.append("the shutdown took \(report.duration), and its limit was \(limit)")
        }
        if cut > report.forced.count {
            violations.append("\(cut) calls were cut off, and the report names \(report.forced.count)")
        }
        return violations
    }
}

extension SimulationRemains {
    /// Adds the state of a client whose shutdown has ended.
    mutating func add(stateOf client: ServiceClient) async {
        var last: ShutdownProgress?
        for await progress in client.shutdownProgress { last = progress }
        inFlight = last?.inFlight ?? 0
        isClosed = last?.state == .closed
    }

    /// A sentence for each thing that is left.
    var violations: [String] {
        var violations: [String] = []
        if pooled > 0 { violations.append("the pools are not empty: \(pooled)") }
        if channels > 0 { violations.append("\(channels) channels are open") }
        if inFlight > 0 { violations.append("\(inFlight) calls are in flight") }
        if !isClosed { violations.append("the client is not closed") }
        if sleepers > 0 { violations.append("\(sleepers) tasks still sleep") }
        return violations
    }
}
