internal import BowlineCore
internal import NIOCore

/// The replicas of a simulated service: their queues, workers and faults.
///
/// A request is in one of these stages:
///
/// | stage | what it means | where it goes |
/// |---|---|---|
/// | travelling | on its way to the replica | queued, ended |
/// | queued | waits for a worker | working, ended |
/// | working | uses a worker | responding, ended |
/// | responding | its own closure makes the answer, and it still uses the worker | ended |
/// | ended | the replica is done with it | |
///
/// The caller's wait is separate: a caller may give up in any stage, and a lost request has ended although its caller
/// still waits.
struct SimulatedServiceMachine: Sendable {
    typealias RequestID = Int

    enum Stage: String, Sendable, CaseIterable {
        case travelling, queued, working, responding, ended
    }

    /// Something that happens at an instant. The machine asks for it with `Effect.schedule`.
    enum Event: Sendable {
        case arrived(RequestID)
        /// The work of the request is done. `life`: how often the replica had crashed when the work began.
        case workEnded(RequestID, life: Int)
        /// The answer has reached the caller.
        case delivered(RequestID, Outcome)
        /// A fault begins or ends.
        case faultsChanged
    }

    /// How a request ends for its caller.
    enum Outcome: Sendable {
        case answer(SimulatedAnswer)
        case refused
        /// The connection was closed without an answer.
        case dropped
    }

    enum Effect: Sendable {
        case schedule(Event, at: MonotonicInstant)
        /// Resume the caller.
        case end(RequestID, Outcome)
        /// Run the replica's `respond`, then call ``responded(_:life:_:now:random:)``.
        case respond(RequestID, life: Int, SimulatedCall)
        /// Cancel the closure that makes the request's answer.
        case cancelResponse(RequestID)
    }

    private struct Request: Sendable {
        let call: SimulatedCall
        /// The text that shows that two requests mean one execution.
        let identity: String?
        var stage = Stage.travelling
        var isAwaited = true

        var replica: Int { call.replica }
    }

    private struct Replica: Sendable {
        var options: SimulatedReplica
        /// How often it has crashed.
        var life = 0
        /// Whether it refuses connections.
        var isDown = false
        var busy = 0
        var queue = CircularBuffer<RequestID>()
        /// How many of the queue's requests still want a worker.
        var waiting = 0
        var record: SimulatedRecord
    }

    private var replicas: [Replica]
    private var requests: [RequestID: Request] = [:]
    private var faults: [ScheduledFault] = []
    private var executions: [String: Int] = [:]
    private var quota: SimulatedQuota?
    private var tokens = 0.0
    private var tokensAt: MonotonicInstant

    init(_ replicas: [SimulatedReplica], tick: Duration, now: MonotonicInstant) {
        tokensAt = now
        self.replicas = replicas.map { options in
            var record = SimulatedRecord(start: now.nanoseconds, length: tick.saturatingNanoseconds)
            record.advance(to: now.nanoseconds)
            record.set(busy: 0, workers: options.workers, queued: 0)
            return Replica(options: options, record: record)
        }
    }

    // MARK: Facts

    var replicaCount: Int { replicas.count }
    var requestCount: Int { requests.count }
    /// How many executions there were of each request with an identity.
    var executionCounts: [String: Int] { executions }

    func options(of replica: Int) -> SimulatedReplica { replicas[replica].options }
    func busy(_ replica: Int) -> Int { replicas[replica].busy }
    func waiting(_ replica: Int) -> Int { replicas[replica].waiting }
    /// How many requests of a replica are in a stage.
    func count(_ stage: Stage, at replica: Int) -> Int {
        requests.values.count { $0.stage == stage && $0.replica == replica }
    }
    func stage(of request: RequestID) -> Stage? { requests[request]?.stage }

    mutating func ticks(of replica: Int, now: MonotonicInstant) -> [SimulatedTick] {
        replicas[replica].record.advance(to: now.nanoseconds)
        return replicas[replica].record.ticks
    }

    // MARK: Changes

    mutating func setQuota(_ quota: SimulatedQuota?, now: MonotonicInstant) {
        self.quota = quota
        tokens = Double(min(quota?.burst ?? 0, Self.largestBurst))
        tokensAt = now
    }

    mutating func change(
        _ replica: Int, now: MonotonicInstant, random: inout SeededRandom, _ body: (inout SimulatedReplica) -> Void
    ) -> [Effect] {
        var effects: [Effect] = []
        body(&replicas[replica].options)
        dispatch(replica, now, &random, &effects)
        return effects
    }

    mutating func scheduleFault(_ fault: ScheduledFault, now: MonotonicInstant) -> [Effect] {
        faults.append(fault)
        var effects = [Effect.schedule(.faultsChanged, at: max(fault.from, now))]
        if let until = fault.until { effects.append(.schedule(.faultsChanged, at: max(until, now))) }
        return effects
    }

    // MARK: Requests

    /// A client sends a request.
    mutating func sent(
        _ id: RequestID, _ call: SimulatedCall, identity: String?, now: MonotonicInstant, random: inout SeededRandom
    ) -> [Effect] {
        requests[id] = Request(call: call, identity: identity)
        var effects: [Effect] = []
        let latency = replicas[call.replica].options.latency.draw(using: &random)
        if latency > .zero {
            effects.append(.schedule(.arrived(id), at: now.advanced(by: latency)))
        } else {
            arrived(id, now, &random, &effects)
        }
        return effects
    }

    /// A caller has given up: its limit has passed, or its task was cancelled.
    mutating func gaveUp(_ id: RequestID, now: MonotonicInstant, random: inout SeededRandom) -> [Effect] {
        guard var request = requests[id], request.isAwaited else { return [] }
        request.isAwaited = false
        requests[id] = request
        let replica = request.replica
        count(\.gaveUp, at: replica, now)
        var effects: [Effect] = []
        guard request.stage != .ended else {
            requests[id] = nil
            return effects
        }
        guard !replicas[replica].options.finishesAbandonedRequests else { return effects }
        switch request.stage {
        case .travelling, .ended: break
        case .queued: leaveQueue(id)
        case .working: leaveWorker(id, now)
        case .responding:
            effects.append(.cancelResponse(id))
            leaveWorker(id, now)
        }
        dispatch(replica, now, &random, &effects)
        return effects
    }

    /// The replica's `respond` has made the answer.
    mutating func responded(
        _ id: RequestID, life: Int, _ answer: SimulatedAnswer, now: MonotonicInstant, random: inout SeededRandom
    ) -> [Effect] {
        var effects: [Effect] = []
        guard let request = requests[id], request.stage == .responding, replicas[request.replica].life == life else {
            return effects
        }
        finish(id, answer, now, &random, &effects)
        return effects
    }

    /// Something that the machine has scheduled happens.
    mutating func happened(_ event: Event, now: MonotonicInstant, random: inout SeededRandom) -> [Effect] {
        var effects: [Effect] = []
        switch event {
        case .arrived(let id): arrived(id, now, &random, &effects)
        case .workEnded(let id, let life): workEnded(id, life, now, &random, &effects)
        case .delivered(let id, let outcome): deliver(id, outcome, now, &effects)
        case .faultsChanged: faultsChanged(now, &random, &effects)
        }
        return effects
    }

    // MARK: The way through a replica

    private mutating func arrived(
        _ id: RequestID, _ now: MonotonicInstant, _ random: inout SeededRandom, _ effects: inout [Effect]
    ) {
        guard let replica = requests[id]?.replica else { return }
        count(\.offered, at: replica, now)
        switch obstacle(at: replica, now, &random) {
        case .refused:
            count(\.refused, at: replica, now)
            end(id, .refused, now, &random, &effects)
        case .lost:
            count(\.failed, at: replica, now)
            end(id, nil, now, &random, &effects)
        case .dropped:
            count(\.failed, at: replica, now)
            end(id, .dropped, now, &random, &effects)
        case .failing(let answer):
            count(\.failed, at: replica, now)
            end(id, .answer(answer), now, &random, &effects)
        case .rejected(let answer):
            count(\.rejected, at: replica, now)
            end(id, .answer(answer), now, &random, &effects)
        case nil:
            requests[id]?.stage = .queued
            replicas[replica].queue.append(id)
            replicas[replica].waiting += 1
            dispatch(replica, now, &random, &effects)
        }
    }

    private enum Obstacle {
        case refused, lost, dropped
        case failing(SimulatedAnswer)
        case rejected(SimulatedAnswer)
    }

    /// Returns why the request does not reach the queue.
    private mutating func obstacle(
        at replica: Int, _ now: MonotonicInstant, _ random: inout SeededRandom
    ) -> Obstacle? {
        let kinds = activeFaults(replica, now)
        for case .refused in kinds { return .refused }
        for case .silent in kinds { return .lost }
        for case .dropping(let share, .beforeWork) in kinds where random.nextBool(probability: share) {
            return .dropped
        }
        for case .failing(let share, let answer) in kinds where random.nextBool(probability: share) {
            return .failing(answer)
        }
        if let answer = takeToken(now) { return .rejected(answer) }
        let options = replicas[replica].options
        if let limit = options.queueLimit, replicas[replica].waiting >= limit,
            replicas[replica].busy >= workers(replica, now)
        {
            return .rejected(options.overloadAnswer)
        }
        return nil
    }

    /// Gives free workers to the requests that wait.
    private mutating func dispatch(
        _ replica: Int, _ now: MonotonicInstant, _ random: inout SeededRandom, _ effects: inout [Effect]
    ) {
        let workers = workers(replica, now)
        while replicas[replica].busy < workers, let id = replicas[replica].queue.popFirst() {
            // A request that has left the queue is still listed there.
            guard requests[id]?.stage == .queued else { continue }
            requests[id]?.stage = .working
            replicas[replica].waiting -= 1
            replicas[replica].busy += 1
            let work = replicas[replica].options.workTime.draw(using: &random)
            let time = Double(work.saturatingNanoseconds) * slowness(replica, now)
            effects.append(
                .schedule(
                    .workEnded(id, life: replicas[replica].life),
                    at: now.advanced(by: .nanoseconds(Int64(min(time, 1e18))))))
        }
        note(replica, now)
    }

    private mutating func workEnded(
        _ id: RequestID, _ life: Int, _ now: MonotonicInstant, _ random: inout SeededRandom, _ effects: inout [Effect]
    ) {
        guard let request = requests[id], request.stage == .working, replicas[request.replica].life == life else {
            return
        }
        if replicas[request.replica].options.respond != nil {
            requests[id]?.stage = .responding
            effects.append(.respond(id, life: life, request.call))
        } else {
            finish(id, replicas[request.replica].options.answer, now, &random, &effects)
        }
    }

    /// The worker is done with the request.
    private mutating func finish(
        _ id: RequestID, _ answer: SimulatedAnswer, _ now: MonotonicInstant, _ random: inout SeededRandom,
        _ effects: inout [Effect]
    ) {
        guard let request = requests[id] else { return }
        let replica = request.replica
        note(replica, now)
        replicas[replica].busy -= 1
        count(\.processed, at: replica, now)
        if answer.isSuccess, let identity = request.identity { executions[identity, default: 0] += 1 }
        var outcome: Outcome? = .answer(withQuota(answer))
        for kind in activeFaults(replica, now) {
            switch kind {
            case .silent: outcome = nil
            case .dropping(let share, .afterWork) where outcome != nil && random.nextBool(probability: share):
                outcome = .dropped
            default: break
            }
        }
        if case .answer = outcome, answer.isSuccess {} else { count(\.failed, at: replica, now) }
        end(id, outcome, now, &random, &effects)
        dispatch(replica, now, &random, &effects)
    }

    /// The replica is done with the request.
    ///
    /// - Parameter outcome: What travels back to the caller; nil: nothing, the caller waits on.
    private mutating func end(
        _ id: RequestID, _ outcome: Outcome?, _ now: MonotonicInstant, _ random: inout SeededRandom,
        _ effects: inout [Effect]
    ) {
        guard let request = requests[id] else { return }
        guard request.isAwaited else {
            requests[id] = nil
            return
        }
        requests[id]?.stage = .ended
        guard let outcome else { return }
        let latency = replicas[request.replica].options.latency.draw(using: &random)
        if latency > .zero {
            effects.append(.schedule(.delivered(id, outcome), at: now.advanced(by: latency)))
        } else {
            deliver(id, outcome, now, &effects)
        }
    }

    private mutating func deliver(
        _ id: RequestID, _ outcome: Outcome, _ now: MonotonicInstant, _ effects: inout [Effect]
    ) {
        guard let request = requests.removeValue(forKey: id), request.isAwaited else { return }
        if case .answer(let answer) = outcome, answer.isSuccess { count(\.good, at: request.replica, now) }
        effects.append(.end(id, outcome))
    }

    private mutating func leaveQueue(_ id: RequestID) {
        guard let request = requests.removeValue(forKey: id) else { return }
        replicas[request.replica].waiting -= 1
    }

    private mutating func leaveWorker(_ id: RequestID, _ now: MonotonicInstant) {
        guard let request = requests.removeValue(forKey: id) else { return }
        note(request.replica, now)
        replicas[request.replica].busy -= 1
    }

    // MARK: Faults

    private mutating func faultsChanged(
        _ now: MonotonicInstant, _ random: inout SeededRandom, _ effects: inout [Effect]
    ) {
        faults.removeAll { fault in fault.until.map { $0 <= now } ?? false }
        for replica in replicas.indices {
            let isDown = isDown(replica, now)
            if isDown, !replicas[replica].isDown { crash(replica, now, &random, &effects) }
            replicas[replica].isDown = isDown
            dispatch(replica, now, &random, &effects)
        }
    }

    /// The replica forgets its requests, and closes their connections.
    private mutating func crash(
        _ replica: Int, _ now: MonotonicInstant, _ random: inout SeededRandom, _ effects: inout [Effect]
    ) {
        note(replica, now)
        replicas[replica].life += 1
        replicas[replica].busy = 0
        replicas[replica].waiting = 0
        replicas[replica].queue = CircularBuffer()
        let stages: [Stage] = [.queued, .working, .responding]
        let lost = requests.filter { $0.value.replica == replica && stages.contains($0.value.stage) }
        for id in lost.keys.sorted() {
            count(\.failed, at: replica, now)
            if requests[id]?.stage == .responding { effects.append(.cancelResponse(id)) }
            end(id, .dropped, now, &random, &effects)
        }
    }

    private func activeFaults(_ replica: Int, _ now: MonotonicInstant) -> [SimulatedFault.Kind] {
        faults.isEmpty ? [] : faults.filter { $0.isActive(at: now, replica) }.map(\.fault.kind)
    }

    private func isDown(_ replica: Int, _ now: MonotonicInstant) -> Bool {
        for case .refused in activeFaults(replica, now) { return true }
        return false
    }

    /// How many workers the replica has now.
    private func workers(_ replica: Int, _ now: MonotonicInstant) -> Int {
        var workers = max(replicas[replica].options.workers, 0)
        for kind in activeFaults(replica, now) {
            switch kind {
            case .refused: workers = 0
            case .workers(let count): workers = min(workers, count)
            default: break
            }
        }
        return workers
    }

    private func slowness(_ replica: Int, _ now: MonotonicInstant) -> Double {
        var slowness = 1.0
        for case .slow(let factor) in activeFaults(replica, now) { slowness *= factor }
        return slowness
    }

    // MARK: The quota

    /// Takes a token of the quota.
    ///
    /// - Returns: the answer of a request that gets no token; nil: it has one, or there is no quota.
    private mutating func takeToken(_ now: MonotonicInstant) -> SimulatedAnswer? {
        guard let quota, quota.perSecond > 0 else { return nil }
        let burst = Double(min(max(quota.burst, 1), Self.largestBurst))
        tokens = min(burst, tokens + tokensAt.duration(to: now).inSeconds * quota.perSecond)
        tokensAt = now
        // A billionth for rounding: after exactly the announced time, the token is there.
        guard tokens < 1 - 1e-9 else {
            tokens -= 1
            return nil
        }
        let wait = Duration.seconds(Int64((min((1 - tokens) / quota.perSecond, 1e9)).rounded(.up)))
        return withQuota(SimulatedAnswer(.tooManyRequests, retryAfter: quota.isAnnounced ? wait : nil))
    }

    /// Adds the fields of the quota to an answer.
    private func withQuota(_ answer: SimulatedAnswer) -> SimulatedAnswer {
        guard let quota, quota.isAnnounced, quota.perSecond > 0 else { return answer }
        let burst = Double(min(max(quota.burst, 1), Self.largestBurst))
        let window = Int64(min((burst / quota.perSecond).rounded(.up), 1e9))
        let reset = Int64(min(((burst - tokens) / quota.perSecond).rounded(.up), 1e9))
        var answer = answer
        guard let policyField = Self.policyField, let limitField = Self.limitField else { return answer }
        answer.fields[policyField] = "\"default\";q=\(Int64(burst));w=\(max(window, 1))"
        answer.fields[limitField] = "\"default\";r=\(Int64(max(tokens, 0)));t=\(max(reset, 0))"
        return answer
    }

    /// The largest integer of a structured field.
    private static let largestBurst = 999_999_999_999_999
    private static let policyField = HTTPField.Name("RateLimit-Policy")
    private static let limitField = HTTPField.Name("RateLimit")

    // MARK: The record

    private mutating func count(
        _ event: WritableKeyPath<SimulatedTick, Int>, at replica: Int, _ now: MonotonicInstant
    ) {
        replicas[replica].record.advance(to: now.nanoseconds)
        replicas[replica].record.count(event)
    }

    private mutating func note(_ replica: Int, _ now: MonotonicInstant) {
        replicas[replica].record.advance(to: now.nanoseconds)
        replicas[replica].record.set(
            busy: replicas[replica].busy, workers: workers(replica, now), queued: replicas[replica].waiting)
    }
}
