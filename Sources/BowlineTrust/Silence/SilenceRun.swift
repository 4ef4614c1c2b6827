internal import Bowline
internal import BowlineTesting

/// Runs one scenario: a service, a path in front of it, a client with callers, and the moment when the path becomes
/// silent.
final class SilenceRun: Sendable {
    private struct State: Sendable {
        var wentDark = MonotonicInstant.distantFuture
        var isOver = false
        var problems: [String] = []
    }

    /// How long the service waits after the start of the silence before it answers on live connections. By then, the
    /// bytes that were on their way have arrived.
    private static let settling = Duration.milliseconds(30)
    /// Like ``settling``, for uploads: by then, the buffers on the way are full.
    private static let filling = Duration.milliseconds(100)
    private static let pause = Duration.milliseconds(10)
    /// How long to wait for something that takes milliseconds before the run counts as failed.
    private static let patience = Duration.seconds(5)

    private let scenario: SilenceScenario
    private let limits: SilenceLimits
    private let workers: Int
    private let service: SilenceService
    private let proxy: FaultProxy
    private let client: ServiceClient
    private let caller: SilenceCaller
    /// Opens when the path is silent; in some phases the workers wait for it before their first call.
    private let start = Gate()
    private let state = Guarded(State())
    private let clock = MonotonicClock()

    private init(
        _ scenario: SilenceScenario, _ limits: SilenceLimits, workers: Int, service: SilenceService, proxy: FaultProxy
    ) throws {
        self.scenario = scenario
        self.limits = limits
        self.workers = workers
        self.service = service
        self.proxy = proxy
        client = try ServiceClient(baseURL: proxy.baseURL(scheme: scenario.speaks.isEncrypted ? "https" : "http")) {
            limits.apply(to: &$0, scenario)
            $0.tls.trustRoots = .pem(TestCertificates.authority)
            $0.tls.serverName = "localhost"
        }
        caller = SilenceCaller(client)
    }

    /// Runs a scenario with `workers` callers at once.
    static func run(_ scenario: SilenceScenario, _ limits: SilenceLimits, workers: Int) async -> SilenceRow {
        do {
            let service = SilenceService(
                scenario.speaks, callsPerConnection: scenario.callsPerConnection(workers: workers))
            let server = try await service.start()
            let row: SilenceRow
            do {
                let proxy = try await FaultProxy.start(port: server.port)
                let run = try SilenceRun(scenario, limits, workers: workers, service: service, proxy: proxy)
                row = await run.row()
                try await proxy.stop()
            } catch {
                await server.stop()
                throw error
            }
            await server.stop()
            return row
        } catch {
            return SilenceRow(scenario, workers: workers, problem: "\(error)")
        }
    }

    private func row() async -> SilenceRow {
        if !scenario.phase.isInDial { await warmUp() }
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<workers { group.addTask { await self.work(worker) } }
            await direct()
            await group.waitForAll()
        }
        let deadConnections = await deadConnections()
        let report = await client.shutdown(within: .seconds(1))
        let (wentDark, problems) = state.withLock { ($0.wentDark, $0.problems) }
        var row = SilenceRow(
            scenario, calls: caller.calls, workers: workers, wentDark: wentDark, healed: healed(after: wentDark))
        row.problems = problems + (report.isClean ? [] : ["the shutdown was \(report)"])
        row.deadConnections = deadConnections
        row.postsExecutedTwice = service.postsExecutedTwice
        return row
    }

    private func healed(after wentDark: MonotonicInstant) -> MonotonicInstant {
        scenario.healsAtOnce ? wentDark : wentDark.advanced(by: limits.dark(scenario))
    }

    /// Runs one caller. It makes the call that is in flight when the path becomes silent, then further calls, one after
    /// another, until the run is over.
    private func work(_ worker: Int) async {
        let isOdd = worker % 2 == 1
        switch scenario.phase {
        case .idle, .dial, .handshake:
            try? await start.wait()
            await caller.call(.slow, isOdd ? .post : .get, worker: worker)
        case .head: await caller.call(.head, isOdd ? .post : .get, worker: worker)
        case .body: await caller.call(.body, isOdd ? .post : .get, worker: worker)
        case .upload: await caller.call(.upload, isOdd ? .post : .put, worker: worker)
        }
        var number = 0
        while !isOver {
            try? await Task.sleep(for: Self.pause)
            number += 1
            await caller.call(.fast, number % 3 == 0 ? .post : .get, worker: worker)
        }
    }

    private var isOver: Bool { state.withLock { $0.isOver } }

    /// Makes one call for each caller, all at the same time, so that there are connections for all callers.
    private func warmUp() async {
        let meeting = service.beginMeeting()
        let answered = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<workers { group.addTask { await self.caller.probe(.meet, within: Self.patience) } }
            try? await meeting.waitForWaiters(count: workers, timeout: Self.patience / 2)
            meeting.open()
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        if answered < workers { note("\(workers - answered) calls failed before the path went dark") }
    }

    /// Waits until all callers are in the scenario's phase, makes the path silent, and lets it recover. Returns when
    /// all callers have succeeded again or twice the promised time is over.
    private func direct() async {
        defer { state.withLock { $0.isOver = true } }
        do {
            try await waitForPhase()
        } catch {
            note("the phase was not reached: \(error)")
        }
        goDark()
        let wentDark = clock.now
        state.withLock { $0.wentDark = wentDark }
        start.open()
        try? await Task.sleep(for: Self.settling)
        service.heads.open()
        try? await Task.sleep(for: Self.filling - Self.settling)
        caller.endUploads()
        let healed = healed(after: wentDark)
        if !scenario.healsAtOnce {
            try? await clock.sleep(until: healed, tolerance: nil)
            heal()
        }
        // Twice the promised time, so that the table shows a longer recovery.
        let end = healed.advanced(by: limits.promisedRecovery(scenario) * 2)
        try? await clock.sleep(until: clock.now.advanced(by: Self.filling), tolerance: nil)
        while clock.now < end, !caller.haveSucceeded(workers: workers, since: healed) {
            try? await Task.sleep(for: Self.pause)
        }
    }

    private func waitForPhase() async throws {
        switch scenario.phase {
        case .dial, .handshake: break
        case .idle:
            try await eventually("unused connections", within: Self.patience) {
                let snapshot = client.pool.snapshot()
                return snapshot.active == 0 && snapshot.idle * scenario.callsPerConnection(workers: workers) >= workers
            }
        case .head:
            try await service.heads.waitForWaiters(count: workers, timeout: limits.responseHead / 2)
        case .body, .upload:
            try await eventually("bodies under way", within: limits.bodyIdle / 2) { caller.underWay >= workers }
        }
    }

    private func goDark() {
        let open = proxy.connections.sorted()
        let darkDial = scenario.phase == .handshake ? Self.darkHandshake : Self.darkOpening
        switch (scenario.extent, scenario.phase.isInDial) {
        case (.half, false):
            proxy.silence(connections: Set(open.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)))
        case (.half, true): proxy.use(.make { $0 % 2 == 0 ? darkDial : .none })
        case (.open, _): proxy.silence(connections: Set(open))
        case (.path, _):
            proxy.use(.every(darkDial))
            if !open.isEmpty { proxy.silence(connections: Set(open)) }
        case (.pause, _): proxy.silence()
        }
        if open.isEmpty, !scenario.phase.isInDial { note("no connection was open when the path went dark") }
    }

    private func heal() {
        if scenario.extent == .pause { proxy.resume() } else { proxy.use(.none) }
    }

    private static let darkOpening = FaultScript { $0.opening = .silence }
    /// A script that passes the first bytes of the server's part of the handshake, and then nothing.
    private static let darkHandshake = FaultScript { $0.toClient.events = [FaultEvent(at: 200, .silenceBoth)] }

    /// Returns how many connections in the pool are dead. To find out, sends as many calls at once as all connections
    /// together carry: the calls on a dead connection get no answer.
    private func deadConnections() async -> Int {
        // A doubted connection counts as active until its PING is answered or has timed out.
        try? await eventually("no connection in use", within: Self.patience) {
            let snapshot = client.pool.snapshot()
            return snapshot.active == 0 && snapshot.dialling == 0
        }
        let snapshot = client.pool.snapshot()
        let each = scenario.callsPerConnection(workers: workers)
        let probes = snapshot.idle * each
        guard probes > 0 else { return snapshot.active }
        let meeting = service.beginMeeting()
        let failed = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<probes { group.addTask { await self.caller.probe(.meet, within: self.limits.responseHead) } }
            try? await meeting.waitForWaiters(count: probes, timeout: limits.responseHead / 2)
            meeting.open()
            return await group.reduce(into: 0) { $0 += $1 ? 0 : 1 }
        }
        return snapshot.active + (failed + each - 1) / each
    }

    private func note(_ problem: String) {
        state.withLock { $0.problems.append(problem) }
    }
}
