internal import Bowline
internal import BowlineTesting

/// Draws the plan of an episode.
///
/// Invariant: the order of the draws decides the plan of a seed. A changed order changes the plans of all seeds.
struct LedgerDrawing {
    private var random: SeededRandom
    private let wire: LedgerProtocol
    /// The probability that the service misbehaves, from 0 to 1.
    private var mischief = 0.0
    private var isCalm = false
    private var faults: LedgerFaults?

    init(random: SeededRandom, wire: LedgerProtocol?) {
        self.random = random
        let drawn = LedgerProtocol.allCases[self.random.next(in: 0..<LedgerProtocol.allCases.count)]
        self.wire = wire ?? drawn
    }

    mutating func plan(seed: UInt64, episode: Int, count: Int?) -> LedgerPlan {
        isCalm = random.nextBool(probability: 0.15)
        mischief = isCalm ? 0 : pick([0, 0.05, 0.2, 0.5])
        if !isCalm, random.nextBool(probability: 0.6) {
            faults = LedgerFaults(
                seed: random.next(), fraction: pick([0.1, 0.3, 0.7]), isEncrypted: wire.isEncrypted)
        }
        let drawnCount = random.next(in: 150..<400)
        let concurrency = pick([1, 2, 8, 16, 24, 32, 48, 64])
        // With few calls at once, many calls wait for their deadlines one after another, which takes long. So there are
        // fewer calls then.
        let count = count ?? (isCalm ? drawnCount : min(drawnCount, 30 + 30 * concurrency))
        var plan = LedgerPlan(
            seed: seed, episode: episode, wire: wire, isCalm: isCalm, requests: [],
            concurrency: concurrency, faults: faults, pool: pool(), http2: http2(),
            retry: retry(), timeouts: timeouts())
        if !isCalm, random.nextBool(probability: 0.2) {
            plan.shutdownAfter = random.next(in: 0..<max(1, count))
            plan.shutdownLimit = pick([0, 5, 50, 200])
        }
        plan.serverStreams = pick([1, 4, 32, 100, 100])
        plan.serverWindow = pick([nil, nil, 1, 1000, 16_384, 1_048_576])
        plan.serverBuffers = isCalm ? nil : pick([nil, nil, nil, 32_768, 65_536])
        plan.requestsPerConnection = isCalm ? nil : pick([nil, nil, 1, 5, 50])
        plan.requests = (0..<count).map { _ in request() }
        plan.countsTimers = random.nextBool(probability: 0.25)
        return plan
    }

    private mutating func pick<Value>(_ values: [Value]) -> Value {
        values[random.next(in: 0..<values.count)]
    }

    private mutating func pool() -> PoolOptions {
        var pool = PoolOptions()
        pool.isEnabled = !random.nextBool(probability: 0.05)
        pool.maximumPerOrigin = pick([nil, 1, 2, 8, 64])
        pool.maximumIdlePerOrigin = pick([0, 1, 8, 64])
        pool.idleTimeout = pick([nil, .milliseconds(2), .milliseconds(30), .seconds(90)])
        pool.maximumLifetime = pick([nil, .milliseconds(20), .milliseconds(300), .seconds(600)])
        pool.maximumUses = pick([nil, nil, 1, 3, 20])
        if random.nextBool(probability: 0.2), pool.isEnabled {
            let most = min(pool.maximumIdlePerOrigin, pool.maximumPerOrigin ?? 2, 2)
            pool.minimumIdlePerOrigin = most
        }
        return pool
    }

    private mutating func http2() -> HTTP2Options {
        var http2 = HTTP2Options()
        http2.maximumConnectionsPerOrigin = pick([1, 2, 4])
        http2.maximumStreams = pick([1, 8, 256])
        http2.streamWindow = pick([65_535, 1_048_576])
        http2.connectionWindow = pick([65_535, 16_777_216])
        http2.keepAliveInterval = pick([nil, .seconds(1)])
        http2.keepAliveTimeout = .seconds(1)
        return http2
    }

    private mutating func retry() -> RetryOptions {
        var retry = RetryOptions()
        retry.maximumAttempts = pick([1, 2, 3, 5])
        retry.baseDelay = pick([.zero, .milliseconds(1), .milliseconds(5)])
        retry.throttledBaseDelay = pick([.milliseconds(1), .milliseconds(10)])
        retry.maximumDelay = .milliseconds(20)
        retry.maximumRetryAfter = pick([.zero, .seconds(2)])
        if random.nextBool() { retry.budget = nil }
        return retry
    }

    private mutating func timeouts() -> Timeouts {
        var timeouts = Timeouts()
        guard !isCalm else { return timeouts }
        timeouts.connect = pick([.milliseconds(100), .milliseconds(400), .seconds(10)])
        timeouts.poolAcquire = pick([.milliseconds(100), .seconds(10), nil])
        timeouts.responseHead = pick([.milliseconds(100), .seconds(30), nil])
        timeouts.bodyIdle = pick([.milliseconds(100), .seconds(30), nil])
        timeouts.attempt = pick([nil, nil, .milliseconds(150)])
        return timeouts
    }

    private mutating func request() -> LedgerRequestPlan {
        let id = random.next()
        let method: HTTPRequest.Method = pick([
            .get, .get, .get, .get, .get, .get, .post, .post, .post, .post, .post, .put, .put, .delete, .head, .patch,
        ])
        var plan = LedgerRequestPlan(id: id, method: method, target: target(id), deadline: 20_000)
        drawBody(of: &plan)
        plan.answerSize = size()
        plan.isKeyed = (method == .post || method == .patch) && random.nextBool(probability: 0.15)
        plan.isMarkedNotIdempotent = !plan.isKeyed && random.nextBool(probability: 0.05)
        plan.allowsResend = !random.nextBool(probability: 0.1)
        if !isCalm {
            // Short, because a call on a silent path waits for its deadline.
            plan.deadline = pick([60, 100, 150, 250])
            if random.nextBool(probability: 0.08) { plan.cancelAfter = random.next(in: 0..<40) }
        }
        plan.acts = acts(for: plan)
        if wire == .http2, random.nextBool(probability: 0.05) {
            plan.largeFieldBytes = random.next(in: 8000..<60_000)
        }
        return plan
    }

    private mutating func target(_ id: UInt64) -> String {
        let text = LedgerContent.text(of: id)
        switch random.next(in: 0..<6) {
        case 0: return "/ledger/\(text)?q=%C3%BC%20\(text)&r=a+b"
        case 1: return "/ledger/\(text)/a%2Fb/;v=1?\(text)"
        case 2: return "/ledger/\(text)?long=" + String(repeating: "0123456789abcdef", count: random.next(in: 1..<100))
        default: return "/ledger/\(text)"
        }
    }

    private mutating func drawBody(of plan: inout LedgerRequestPlan) {
        guard [.post, .put, .patch].contains(plan.method) else { return }
        plan.bodyKind = pick([.none, .bytes, .bytes, .bytes, .sizedStream, .stream, .replayable, .trailed, .file])
        plan.bodySize = plan.bodyKind == .none ? 0 : size()
        // Limits the number of chunks: a large body is not split into single bytes.
        plan.chunkSize = pick([1, 100, 4096, 70_000])
        if plan.bodySize / plan.chunkSize > 64 { plan.chunkSize = plan.bodySize / 32 }
        if random.nextBool(probability: 0.1) { plan.chunkPause = 1 }
        plan.expectsContinue = plan.bodyKind != .none && random.nextBool(probability: 0.1)
    }

    /// Draws a size: mostly small, sometimes up to 300 KiB, sometimes close to the sizes of frames, windows and
    /// buffers.
    private mutating func size() -> Int {
        switch random.next(in: 0..<16) {
        case 0: 0
        case 1: random.next(in: 0..<307_200)
        case 2: pick([16_384, 65_535, 65_536]) + random.next(in: 0..<5) - 2
        case 3, 4: random.next(in: 4096..<40_000)
        default: random.next(in: 1..<2000)
        }
    }

    private mutating func acts(for plan: LedgerRequestPlan) -> [LedgerAct] {
        var acts: [LedgerAct] = []
        while acts.count < 3, random.nextBool(probability: mischief) { acts.append(misbehaviour(plan)) }
        acts.append(manner())
        return acts
    }

    /// Draws a way of answering that every client must accept.
    private mutating func manner() -> LedgerAct {
        switch random.next(in: 0..<12) {
        case 0: return .answerInChunks(of: pick([1000, 5000, 16_384]))
        case 1: return .answerSlowly(pieces: pick([2000, 20_000, 100_000]))
        case 2: return .answerAfterHint
        case 3: return .answerLate(milliseconds: random.next(in: 1..<15))
        case 4 where random.nextBool(probability: 0.3):
            return .answerWithLargeFields(
                bytes: wire == .http2 ? random.next(in: 4000..<60_000) : pick([8000, 40_000]))
        default: return .answer
        }
    }

    private mutating func misbehaviour(_ plan: LedgerRequestPlan) -> LedgerAct {
        switch random.next(in: 0..<17) {
        case 0: return .answerSayingClose
        case 1: return .answerThenClose(milliseconds: pick([0, 1, 5]))
        case 2: return .answerThenReset
        case 3: return .cut(thousandths: random.next(in: 0..<1000))
        case 4: return .actThenClose
        case 5: return .actThenReset
        case 6: return .actThenResetStream(code: pick([2, 8, 11]))
        case 7 where random.nextBool(probability: 0.3): return .actThenStall
        case 8, 9: return .unavailable(retryAfter: random.nextBool(probability: 0.1) ? 1 : 0)
        case 10, 11: return .refuse
        case 12: return plan.bodySize > 0 ? .rejectEarly(closes: random.nextBool()) : .unavailable(retryAfter: 0)
        case 13: return wire == .http2 ? .refuseEarly : .answerSayingClose
        case 14: return .answerLate(milliseconds: random.next(in: 30..<90))
        // Without TLS, a path with faults could cut off the end of such an answer, and the client could not detect
        // that.
        case 15: return wire == .tls || (wire == .http1 && faults == nil) ? .answerUntilClose : .answerThenReset
        case 16 where wire != .http2: return .answerWithLargeFields(bytes: pick([60_000, 64_800, 66_000, 90_000]))
        default: return .answerLate(milliseconds: random.next(in: 5..<30))
        }
    }
}
