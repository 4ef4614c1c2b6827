internal import Bowline
internal import Testing

@testable import BowlineTrust

@Suite("Silence: the verdict of a row")
struct SilenceRowTests {
    private static let limits = SilenceLimits()
    private static let wentDark = MonotonicInstant(nanoseconds: 10_000_000_000)
    private static let timeout = SilenceFailure(code: "responseHeadTimeout", progress: "ambiguous")

    private static func scenario(
        _ speaks: SilenceProtocol = .http1, _ phase: SilencePhase = .idle, _ extent: SilenceExtent = .open
    ) -> SilenceScenario {
        SilenceScenario(speaks: speaks, phase: phase, extent: extent)
    }

    /// A call whose times are milliseconds since the path became silent.
    private static func call(
        _ worker: Int, _ began: Int, _ ended: Int, isIdempotent: Bool = true, requestsSent: Int = 1
    ) -> SilenceCall {
        SilenceCall(
            worker: worker, isIdempotent: isIdempotent, began: wentDark.advanced(by: .milliseconds(began)),
            ended: wentDark.advanced(by: .milliseconds(ended)), outcome: .success(requestsSent: requestsSent))
    }

    private static func failed(
        _ worker: Int, _ began: Int, _ ended: Int, isIdempotent: Bool = false, _ failure: SilenceFailure = Self.timeout
    ) -> SilenceCall {
        SilenceCall(
            worker: worker, isIdempotent: isIdempotent, began: wentDark.advanced(by: .milliseconds(began)),
            ended: wentDark.advanced(by: .milliseconds(ended)), outcome: .failure(failure))
    }

    private static func row(
        _ calls: [SilenceCall], workers: Int = 2, _ scenario: SilenceScenario = Self.scenario(), healed: Int = 0
    ) -> SilenceRow {
        SilenceRow(
            scenario, calls: calls, workers: workers, wentDark: wentDark,
            healed: wentDark.advanced(by: .milliseconds(healed)))
    }

    @Test("One timeout for each caller and then success is as promised")
    func promised() {
        let row = Self.row([
            Self.call(0, -100, -90), Self.failed(1, 1, 501), Self.call(0, 1, 540, requestsSent: 2),
            Self.call(1, 511, 520), Self.call(0, 550, 560),
        ])
        #expect(row.violations(Self.limits) == [])
        #expect(row.recoveries == [.milliseconds(520), .milliseconds(540)])
        #expect((row.first, row.longest) == (.milliseconds(520), .milliseconds(540)))
        // Neither the call before nor the one after the last worker's recovery.
        #expect(row.calls == 3)
        #expect(row.repeated == 1)
        #expect(row.failed == 1)
        #expect(row.failureText == "1 responseHeadTimeout (ambiguous)")
        #expect(row.cells(Self.limits).count == SilenceRow.header.count)
        #expect(row.cells(Self.limits).last == "ok")
    }

    @Test("Successes during the silence are no recovery")
    func inTheDark() {
        let path = Self.scenario(.http1, .idle, .path)
        let row = Self.row(
            [Self.call(0, 1, 10), Self.call(0, 590, 610), Self.call(1, 1, 20), Self.call(1, 620, 640)], path,
            healed: 600)
        #expect(row.recoveries == [.milliseconds(10), .milliseconds(40)])
        #expect(row.violations(Self.limits) == [])
    }

    @Test("A caller that never succeeds again is a violation")
    func stuck() {
        let row = Self.row([Self.call(0, 1, 20), Self.failed(1, 1, 501), Self.failed(1, 510, 1010)])
        #expect(row.violations(Self.limits) == ["1 of 2 callers did not succeed again"])
        #expect(row.calls == 3)
        #expect(row.cells(Self.limits).last == "FAILED")
    }

    @Test("A recovery after the promised time is a violation; a recovery exactly at the limit is not")
    func late() {
        let promised = Self.limits.promisedRecovery(Self.scenario())
        let limit = Int(promised.saturatingNanoseconds / 1_000_000)
        #expect(Self.row([Self.call(0, 1, 2), Self.call(1, 1, limit)]).violations(Self.limits) == [])
        let row = Self.row([Self.call(0, 1, 2), Self.call(1, 1, limit + 1)])
        #expect(
            row.violations(Self.limits) == ["calls succeeded again after \(limit + 1) ms, \(limit) ms are promised"])
    }

    @Test("A failed GET is a violation, except for a response body that ends early")
    func idempotent() {
        let body = SilenceFailure(code: "bodyIdleTimeout", progress: "responseStarted")
        let calls = [Self.failed(0, 0, 500, isIdempotent: true, body), Self.call(0, 510, 520), Self.call(1, 1, 2)]
        #expect(Self.row(calls).violations(Self.limits) == ["1 idempotent calls failed, of which 0 may"])
        #expect(Self.row(calls, Self.scenario(.http1, .body, .open)).violations(Self.limits) == [])
    }

    @Test(
        "More failures than calls in flight are a violation, or twice as many if new connections are silent too"
    )
    func failures() {
        let calls =
            (0..<3).map { Self.failed(0, $0 * 500, $0 * 500 + 490) } + [
                Self.call(0, 0, 601), Self.call(1, 0, 602),
            ]
        #expect(Self.row(calls, healed: 0).violations(Self.limits) == ["3 calls failed, of which 2 may"])
        #expect(Self.row(calls, Self.scenario(.http1, .idle, .path), healed: 600).violations(Self.limits) == [])
    }

    @Test("an error that has nothing to do with silence is a violation")
    func unexpected() {
        let wrong = SilenceFailure(code: "answer of another call", progress: "responseStarted")
        let row = Self.row([Self.failed(0, 1, 2, wrong), Self.call(0, 3, 4), Self.call(1, 3, 4)])
        #expect(row.violations(Self.limits) == ["1 calls failed with answer of another call (responseStarted)"])
    }

    @Test("dead connections, a POST executed twice and a run that went wrong are violations")
    func leftBehind() {
        var row = Self.row([Self.call(0, 1, 2), Self.call(1, 1, 2)])
        row.deadConnections = 3
        row.postsExecutedTwice = 1
        row.problems = ["no connection was open"]
        #expect(
            row.violations(Self.limits) == [
                "no connection was open", "3 dead connections are left in the pool", "1 POSTs were executed twice",
            ])
        let neverRun = SilenceRow(Self.scenario(), workers: 8, problem: "cannot bind")
        #expect(neverRun.violations(Self.limits) == ["cannot bind"])
        #expect(neverRun.cells(Self.limits).count == SilenceRow.header.count)
    }
}

@Suite("Silence: the scenarios")
struct SilenceScenarioTests {
    @Test("Every phase of every protocol has a row, and no row is repeated")
    func complete() {
        let all = SilenceScenario.all(isShort: false)
        #expect(Set(all).count == all.count)
        for speaks in SilenceProtocol.allCases {
            let phases = Set(all.filter { $0.speaks == speaks }.map(\.phase))
            #expect(phases == Set(SilencePhase.allCases).subtracting(speaks.isEncrypted ? [] : [.handshake]))
        }
        for phase in [SilencePhase.idle, .head, .body, .upload] {
            let extents = all.filter { $0.speaks == .http2TLS && $0.phase == phase }.map(\.extent)
            #expect(extents == SilenceExtent.allCases)
        }
    }

    @Test("the short form has every phase of every protocol, with fewer extents")
    func short() {
        let all = SilenceScenario.all(isShort: false)
        let short = SilenceScenario.all(isShort: true)
        #expect(Set(short).isSubset(of: all))
        #expect(short.count < all.count)
        #expect(
            Set(short.map { [$0.speaks.rawValue, $0.phase.rawValue] })
                == Set(all.map { [$0.speaks.rawValue, $0.phase.rawValue] }))
    }

    @Test("HTTP/2 has four connections whatever the number of callers, and HTTP/1.1 one for each call")
    func connections() {
        let http2 = SilenceScenario(speaks: .http2TLS, phase: .head, extent: .open)
        #expect([4, 8, 16, 17].map { http2.callsPerConnection(workers: $0) } == [1, 2, 4, 5])
        let http1 = SilenceScenario(speaks: .http1TLS, phase: .upload, extent: .open)
        #expect(http1.callsPerConnection(workers: 16) == 1)
        #expect(http1.workers(of: 16) == 4)
        #expect(http1.workers(of: 2) == 2)
        #expect(http2.workers(of: 16) == 16)
    }

    @Test("The promised time is less than 1.5 s, and more than one limit")
    func promises() {
        let limits = SilenceLimits()
        for scenario in SilenceScenario.all(isShort: false) {
            let promised = limits.promisedRecovery(scenario)
            #expect(promised > limits.responseHead, "\(scenario)")
            #expect(promised < .milliseconds(1500), "\(scenario)")
            #expect(limits.dark(scenario) < limits.responseHead * 2)
        }
    }

    @Test("the client's limits are valid", arguments: SilenceProtocol.allCases)
    func configuration(_ speaks: SilenceProtocol) {
        var configuration = ClientConfiguration()
        SilenceLimits().apply(
            to: &configuration, SilenceScenario(speaks: speaks, phase: .idle, extent: .open))
        #expect(configuration.problems().map(\.description) == [])
    }
}
