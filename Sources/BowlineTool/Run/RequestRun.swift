internal import ArgumentParser
internal import Bowline

/// Runs a plan: workers, signals, report, shutdown.
struct RequestRun {
    private let plan: RequestPlan

    init(_ plan: RequestPlan) {
        self.plan = plan
    }

    /// Runs the plan.
    ///
    /// - Returns: the exit status: 1 if a request failed or the output could not be written, else 0.
    /// - Throws: `ValidationError` if certificates or the output file turn out to be unusable. Then nothing was sent.
    func run() async throws -> Int32 {
        let client = try makeClient()
        let file = try makeOutputFile()
        let ending = Ending(client: client, drain: plan.drain)
        let console = Console(plan: plan.output, requests: plan.count, onBrokenPipe: ending.force)
        let report = RunReport(plan: plan.output, console: console)

        let signals = TerminationSignals {
            switch ending.signalled() {
            case .begin: report.drainBegan(limit: plan.drain)
            case .force: report.forced()
            case .leave: TerminationSignals.leave()
            }
        }
        defer { signals.cancel() }
        let alarm = plan.shutdownAfter.map { delay in
            Task {
                try await Task.sleep(for: delay)
                ending.begin()
            }
        }
        defer { alarm?.cancel() }

        let clock = MonotonicClock()
        let began = clock.now
        let tally = await work(
            client: client, ending: ending,
            consumer: BodyConsumer(plan: plan.output, file: file, console: console), report: report
        )
        let duration = began.duration(to: clock.now)
        // Taken before the shutdown at the end of the run, because the shutdown closes the idle connections.
        let pool = client.pool.snapshot()
        let shutdown = await ending.finish()
        report.runEnded(
            Summary(tally: tally, planned: plan.count, duration: duration, pool: pool, shutdown: shutdown)
        )
        return tally.failed == 0 && !console.isBroken ? 0 : 1
    }

    private func work(client: ServiceClient, ending: Ending, consumer: BodyConsumer, report: RunReport) async -> Tally {
        let worker = Worker(
            client: client, plan: plan, queue: WorkQueue(count: plan.count), ending: ending, consumer: consumer,
            report: report
        )
        // More event loops than processors would be useless: they would share the processors.
        let executors = plan.usesEventLoopExecutor ? Array(client.eventLoopExecutors.prefix(UsableCores.count)) : []
        if let pace = plan.pace { return await OpenLoop(worker: worker, pace: pace, executors: executors).run() }
        return await withTaskGroup { group in
            for number in 0..<plan.workers {
                group.addTask(executorPreference: executors.isEmpty ? nil : executors[number % executors.count]) {
                    await worker.run()
                }
            }
            var total = Tally()
            for await tally in group { total.add(tally) }
            return total
        }
    }

    private func makeClient() throws -> ServiceClient {
        do {
            guard let baseURL = plan.baseURL else { return try ServiceClient { $0 = plan.configuration } }
            return try ServiceClient(baseURL: baseURL) { $0 = plan.configuration }
        } catch let error as ServiceError {
            throw ValidationError(error.message)
        }
    }

    private func makeOutputFile() throws -> OutputFile? {
        do {
            return try plan.output.file.map(OutputFile.init)
        } catch let error as FileError {
            throw ValidationError("-o: \(error)")
        }
    }
}
