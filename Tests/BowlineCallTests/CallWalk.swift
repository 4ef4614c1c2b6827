import BowlineCore
import BowlineTesting

@testable import BowlineCall

/// The outcomes that one random call gets. A seed draws them; the machine and the model get the same.
struct CallWalk {
    /// One attempt that was sent, and how the call ended.
    struct Record: Equatable {
        var sent: [String] = []
        var ended = ""
        var transitions: [DrivenCall.Transition] = []
    }

    let request: ServiceRequest
    let policies: CallPolicies
    let outcomes: [AttemptOutcome]
    /// The answers to the machine's questions, in order.
    let answers: [Bool]
    /// Whether each retry is sent; false: a drain ends it while it waits for a gate.
    let sends: [Bool]
    let isDraining: Bool

    init(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let methods: [HTTPRequest.Method] = [.get, .post, .put]
        var request = ServiceRequest(method: methods[random.next(in: 0..<3)], "http://api.example/a")
        request.url = try? ServiceURL("http://api.example/a")
        if random.nextBool(probability: 0.5) { request.body = .text("body") }
        if random.nextBool(probability: 0.4) { request.fields[.expect] = "100-continue" }
        self.request = request
        var retry = RetryOptions()
        retry.maximumAttempts = random.next(in: 1..<5)
        retry.budget = nil
        // Statuses that another question also asks about.
        for status in [401, 417, 302, 307] where random.nextBool(probability: 0.2) { retry.statuses.insert(status) }
        var redirect = RedirectOptions()
        redirect.maximum = random.next(in: 0..<3)
        policies = CallPolicies(retry: retry, redirect: redirect)
        outcomes = (0..<40).map { _ in Self.outcome(&random) }
        answers = (0..<40).map { _ in random.nextBool(probability: 0.8) }
        sends = (0..<40).map { _ in random.nextBool(probability: 0.9) }
        isDraining = random.nextBool(probability: 0.1)
    }

    private static func outcome(_ random: inout SeededRandom) -> AttemptOutcome {
        func answer(_ status: Int, _ fields: HTTPFields = [:], _ renewal: RenewalChance = .init()) -> AttemptOutcome {
            .answered(ServiceResponse(status: .init(code: status), fields: fields), renewal)
        }
        let progress: [RequestProgress] = [.neverSent, .refused, .ambiguous, .responseStarted]
        let codes: [ServiceError.Code] = [.connectionClosed, .connectionRefused, .protocolViolation]
        switch random.next(in: 0..<12) {
        case 0, 1: return answer(200)
        case 2: return answer(404)
        case 3: return answer(503)
        case 4: return answer(401, [:], RenewalChance(bowlineMayRenew: true))
        case 5: return answer(401)
        case 6:
            // In some cases the service has received the body.
            var facts = ResponseFacts()
            if random.nextBool(probability: 0.5) { facts.timings.sent = MonotonicInstant(nanoseconds: 0) }
            return .answered(ServiceResponse(status: .expectationFailed, facts: facts))
        case 7: return answer(302, [.location: "/b"])
        case 8: return answer(307, [.location: "http://other.example/c"])
        case 9: return answer(302, [.location: "http://[::1"])
        case 10: return .ended(CancellationError())
        default:
            return .failed(
                ServiceError(codes[random.next(in: 0..<3)], "failed", progress: progress[random.next(in: 0..<4)]),
                isOwn: random.nextBool(probability: 0.8))
        }
    }

    /// The source of credentials failed.
    static var renewalFailed: AttemptOutcome {
        var error = ServiceError(.authenticationFailed, "failed", progress: .responseStarted)
        error.isTemporary = true
        return .failed(error, isOwn: true)
    }

    /// The compared values of an attempt that is sent.
    static func description(_ request: ServiceRequest, attempt: Int) -> String {
        "\(request.method) \(request.url?.description ?? "") \(request.fields[.expect] ?? "-") \(attempt)"
    }

    static func description(_ outcome: AttemptOutcome) -> String {
        switch outcome {
        case .answered(let response, _): "answered \(response.status.code)"
        case .failed(let error, _): "failed \(error.code) \(error.progress) \(error.attempts)"
        case .ended: "ended"
        }
    }

    /// Drives the machine.
    func run() -> Record {
        var record = Record()
        let call = DrivenCall(request, policies: policies)
        call.moment.isDraining = isDraining
        var (outcomes, answers, sends) = (outcomes[...], answers[...], sends[...])
        var outcome = AttemptOutcome.ended(CancellationError())
        var step = call.begin()
        while record.ended.isEmpty {
            switch step {
            case .startAttempt(let number):
                record.sent.append(Self.description(call.request, attempt: call.attempt))
                outcome = outcomes.popFirst() ?? .ended(CancellationError())
                step = call.attemptEnded(&outcome, number)
            case .renewCredentials:
                if answers.popFirst() ?? false {
                    step = call.renewed()
                } else {
                    if !(answers.popFirst() ?? true) { outcome = Self.renewalFailed }
                    step = call.notRenewed(&outcome)
                }
            case .abandonBody: step = call.bodyAbandoned(&outcome)
            case .confirmVerdict(let verdict, _):
                var verdict = verdict
                if case .retry = verdict, !(answers.popFirst() ?? false) { verdict = .giveUp(.budgetExhausted) }
                step = call.verdictConfirmed(verdict, &outcome)
            case .reportRetrySuccess: step = call.successReported(&outcome)
            case .wait: step = call.waitEnded(isDue: answers.popFirst() ?? false, &outcome)
            case .admit:
                step =
                    sends.popFirst() ?? true
                    ? call.admitted(after: outcome) : call.drained(&outcome)
            case .follow: step = call.hopBegan()
            case .refuse(let refusal): record.ended = "refused \(refusal.code)"
            case .finish: record.ended = Self.description(outcome)
            }
        }
        record.transitions = call.transitions
        return record
    }
}

/// The same call as four nested middleware: redirects, retries, the second sending after a 417, and after a 401.
struct NestedModel {
    private let walk: CallWalk
    private var outcomes: ArraySlice<AttemptOutcome>
    private var answers: ArraySlice<Bool>
    private var sends: ArraySlice<Bool>
    private var record = CallWalk.Record()
    private var refusal: String?

    init(_ walk: CallWalk) {
        self.walk = walk
        outcomes = walk.outcomes[...]
        answers = walk.answers[...]
        sends = walk.sends[...]
    }

    func run() -> CallWalk.Record {
        var model = self
        let outcome = model.redirecting(walk.request)
        model.record.ended = model.refusal ?? CallWalk.description(outcome)
        return model.record
    }

    private mutating func redirecting(_ first: ServiceRequest) -> AttemptOutcome {
        var request = first
        var followed = 0
        while true {
            var attempt = 1
            let outcome = retrying(request, &attempt)
            guard case .answered(let response, _) = outcome else {
                return followed > 0 ? Self.raised(outcome, to: .responseStarted) : outcome
            }
            guard let kind = RedirectPolicy.Kind(response.status), let url = request.url else { return outcome }
            switch RedirectPolicy(walk.policies.redirect).decide(
                kind, fields: response.receivedFields, request: request, url: url, followed: followed)
            {
            case .stop: return outcome
            case .refuse(let refused):
                refusal = "refused \(refused.code)"
                return outcome
            case .follow(let next): request = next
            }
            followed += 1
        }
    }

    private mutating func retrying(_ request: ServiceRequest, _ attempt: inout Int) -> AttemptOutcome {
        let policy = RetryPolicy(options: walk.policies.retry)
        var furthest = RequestProgress.neverSent
        var retries = 0
        while true {
            let outcome = expecting(request, &attempt)
            if case .ended = outcome { return outcome }
            if case .answered(let response, _) = outcome, !policy.isFailure(response.status) { return outcome }
            guard let failure = policy.describeAsFailure(outcome, wallClock: 0) else { return outcome }
            var verdict = policy.verdict(
                after: failure, isIdempotent: request.isIdempotent, isReplayable: true, retries: retries,
                remaining: nil, random: 0.5)
            if case .retry = verdict, walk.isDraining { verdict = .giveUp(.draining) }
            furthest = furthest.furthest(outcome.progress)
            // The budget has to grant it, the wait has to end, and the gates have to let it go.
            guard case .retry = verdict, answers.popFirst() ?? false, answers.popFirst() ?? false,
                sends.popFirst() ?? true
            else {
                return Self.raised(outcome, to: furthest)
            }
            retries += 1
            attempt = max(attempt, outcome.attempts) + 1
        }
    }

    private mutating func expecting(_ request: ServiceRequest, _ attempt: inout Int) -> AttemptOutcome {
        let outcome = authenticating(request, &attempt)
        guard case .answered(let response, _) = outcome, ExpectationPolicy.isRefused(by: response, request),
            ExpectationPolicy.mayRepeat(request, after: response), !walk.isDraining, sends.popFirst() ?? true
        else { return outcome }
        attempt = max(attempt, outcome.attempts) + 1
        return Self.raised(
            authenticating(ExpectationPolicy.withoutExpectation(request), &attempt), to: .responseStarted)
    }

    private mutating func authenticating(_ request: ServiceRequest, _ attempt: inout Int) -> AttemptOutcome {
        let outcome = sending(request, attempt)
        guard case .answered(let response, let renewal) = outcome, response.status.code == 401, renewal.bowlineMayRenew,
            !walk.isDraining
        else { return outcome }
        guard answers.popFirst() ?? false else {
            return answers.popFirst() ?? true ? outcome : Self.counted(CallWalk.renewalFailed, attempt)
        }
        guard sends.popFirst() ?? true else { return outcome }
        attempt = max(attempt, outcome.attempts) + 1
        return Self.raised(sending(request, attempt), to: .responseStarted)
    }

    private mutating func sending(_ request: ServiceRequest, _ attempt: Int) -> AttemptOutcome {
        record.sent.append(CallWalk.description(request, attempt: attempt))
        return Self.counted(outcomes.popFirst() ?? .ended(CancellationError()), attempt)
    }

    /// An error of a later attempt has the attempt's number.
    private static func counted(_ outcome: AttemptOutcome, _ attempt: Int) -> AttemptOutcome {
        guard case .failed(var error, let isOwn) = outcome, attempt > 1 else { return outcome }
        error.attempts = max(error.attempts, attempt)
        return .failed(error, isOwn: isOwn)
    }

    private static func raised(_ outcome: AttemptOutcome, to progress: RequestProgress) -> AttemptOutcome {
        guard case .failed(var error, let isOwn) = outcome else { return outcome }
        error.progress = error.progress.furthest(progress)
        return .failed(error, isOwn: isOwn)
    }
}
