internal import BowlineCore

/// Decides what happens next in one call. Pure. ``CallExecutor`` carries out its steps.
///
/// After an attempt the machine goes through four questions, from the inside out: renew the credentials (401)? send
/// without `Expect` (417)? retry? follow a redirect? The first question with the answer yes gives the next step. When
/// an input reports the result of this step, the machine continues with the next question.
///
/// | state | input | step | next state |
/// |---|---|---|---|
/// | ready | begin | startAttempt | attempting |
/// | attempting | attemptEnded | renewCredentials | renewing |
/// | attempting | attemptEnded | admit | admitting |
/// | attempting | attemptEnded | abandonBody | abandoning |
/// | attempting | attemptEnded | confirmVerdict | confirming |
/// | attempting | attemptEnded | reportRetrySuccess | reporting |
/// | attempting | attemptEnded | follow | following |
/// | attempting | attemptEnded | refuse | ended |
/// | attempting | attemptEnded | finish | ended |
/// | renewing | renewed | admit | admitting |
/// | renewing | notRenewed | confirmVerdict, reportRetrySuccess, finish | as above |
/// | abandoning | bodyAbandoned | confirmVerdict, reportRetrySuccess, finish | as above |
/// | confirming | verdictConfirmed | wait | waiting |
/// | confirming | verdictConfirmed | follow, refuse, finish | as above |
/// | reporting | successReported | follow, refuse, finish | as above |
/// | waiting | waitEnded | admit | admitting |
/// | waiting | waitEnded | follow, refuse, finish | as above |
/// | admitting | admitted | startAttempt | attempting |
/// | admitting | drained | abandonBody, confirmVerdict, reportRetrySuccess, follow, refuse, finish | as above |
/// | following | hopBegan | startAttempt | attempting |
///
/// The machine numbers the attempts of a call from 1. An attempt with its hedges is one attempt here, with one outcome:
/// ``HedgingStateMachine`` decides about hedges.
///
/// The user's closures `retry.shouldRetry` and `backoff.custom` are called here: they are part of the retry policy.
struct CallStateMachine: ~Copyable {
    /// The next action of the executor.
    enum Step {
        /// Discards the last response, if there is one, and sends ``CallStateMachine/request`` as the attempt with this
        /// number.
        case startAttempt(Int)
        /// Gets other credentials, if there are any. Answer: ``renewed()`` or ``notRenewed(_:_:)``.
        case renewCredentials(RenewalChance)
        /// Abandons the request's body, because no attempt sends it again. Answer: ``bodyAbandoned(_:_:)``.
        case abandonBody
        /// Makes the verdict final, and notifies the observers. A verdict to retry takes a retry from the origin's
        /// budget; if the budget is empty, the final verdict is to give up. Answer: ``verdictConfirmed(_:_:_:)``.
        indirect case confirmVerdict(RetryDecision.Verdict, RetryDecision.Cause)
        /// Notifies the observers that the call was answered after retries. Answer: ``successReported(_:_:)``.
        case reportRetrySuccess
        /// Waits. During the wait, the last response holds no connection. Answer: ``waitEnded(isDue:_:_:)``.
        case wait(until: MonotonicInstant)
        /// Leads the next sending of the hop's request through the gates. While it waits there, the last response is kept.
        /// Answer: ``admitted(after:)`` or ``drained(_:_:)``.
        case admit
        /// Discards the last response and begins the hop after a redirect from this origin. Answer: ``hopBegan()``.
        indirect case follow(from: Origin)
        /// Discards the last response and fails the call: its redirect must not be followed.
        indirect case refuse(RedirectRefusal)
        /// Ends the call with the last outcome.
        case finish
    }

    enum State: Hashable, CaseIterable {
        case ready, attempting, renewing, abandoning, confirming, reporting, waiting, admitting, following, ended
    }

    /// The questions after an attempt, from the inside out.
    private enum Question: Comparable {
        case credentials, expectation, retry, redirect
    }

    /// Why the hop's request is sent once more.
    private enum Repetition {
        /// With other credentials, after a 401.
        case renewal
        /// Without `Expect`, after a 417.
        case withoutExpectation
        case retry
    }

    private(set) var state = State.ready
    private let policies: CallPolicies
    private let deadline: Deadline?
    /// The request of this hop.
    private var hopRequest: ServiceRequest
    /// The URLs of the redirects that were followed.
    private(set) var followed: [ServiceURL] = []
    /// The number of the attempt in this hop, as users see it. The first number is 1, or the number that middleware has
    /// set.
    private(set) var attempt: Int
    /// The number of the last attempt of the call.
    private var attemptsStarted = 0
    /// The retries of this hop.
    private(set) var retries = 0
    /// The furthest progress of all attempts of this hop. The service may have acted on an earlier attempt, even if the
    /// last attempt was never sent.
    private var furthest = RequestProgress.neverSent
    /// Which sending waits for the gates in the state `admitting`.
    private var repetition = Repetition.retry
    /// Whether the request was sent once more since the last retry: after a 401 (renewed), or after a 417 (without
    /// `Expect`).
    private var isRenewed = false
    private var isWithoutExpectation = false
    /// The time of the last decision.
    private(set) var decidedAt = MonotonicInstant(nanoseconds: 0)

    /// - Parameters:
    ///   - request: The first hop's request.
    ///   - policies: The client's policies.
    ///   - deadline: When the call must have ended; nil: no limit.
    ///   - attempt: The first attempt's number, as users see it.
    init(_ request: consuming ServiceRequest, policies: CallPolicies, deadline: Deadline?, attempt: Int = 1) {
        hopRequest = request
        self.policies = policies
        self.deadline = deadline
        self.attempt = attempt
    }

    /// The request that the current attempt sends.
    var request: ServiceRequest { isWithoutExpectation ? ExpectationPolicy.withoutExpectation(hopRequest) : hopRequest }

    // MARK: Inputs

    /// The call begins.
    mutating func begin() -> Step { startAttempt() }

    /// An attempt has ended. If it failed, the machine completes `progress` and `attempts` of the error with facts of
    /// earlier attempts.
    mutating func attemptEnded(
        _ number: Int, _ outcome: inout AttemptOutcome, _ circumstances: some CallCircumstances
    ) -> Step {
        // Invariant: one attempt is in flight at a time. Its hedges belong to it.
        assert(number == attemptsStarted)
        // The usual end of a call: for such a response no question has the answer yes.
        if case .answered(let response, _) = outcome, response.status.code < 300, retries == 0,
            !policies.asksAboutResponses(of: hopRequest)
        {
            return end(.finish)
        }
        return consider(.credentials, &outcome, circumstances)
    }

    /// There are other credentials.
    mutating func renewed() -> Step { admit(.renewal) }

    /// There are no other credentials, and `outcome` is the 401. Or fetching them failed, and `outcome` is that
    /// failure.
    mutating func notRenewed(_ outcome: inout AttemptOutcome, _ circumstances: some CallCircumstances) -> Step {
        consider(.expectation, &outcome, circumstances)
    }

    /// The request's body has been abandoned.
    mutating func bodyAbandoned(_ outcome: inout AttemptOutcome, _ circumstances: some CallCircumstances) -> Step {
        consider(.retry, &outcome, circumstances)
    }

    /// The verdict is final.
    mutating func verdictConfirmed(
        _ verdict: RetryDecision.Verdict, _ outcome: inout AttemptOutcome, _ circumstances: some CallCircumstances
    ) -> Step {
        furthest = furthest.furthest(outcome.progress)
        if case .retry(let delay) = verdict {
            state = .waiting
            return .wait(until: decidedAt.advanced(by: delay))
        }
        return endWithoutRetry(&outcome, circumstances)
    }

    /// The observers were notified that the call was answered after retries.
    mutating func successReported(_ outcome: inout AttemptOutcome, _ circumstances: some CallCircumstances) -> Step {
        consider(.redirect, &outcome, circumstances)
    }

    /// The wait for a retry has ended.
    ///
    /// - Parameter isDue: Whether the instant was reached; false: the client has begun to shut down, or the call's
    ///   deadline has passed.
    mutating func waitEnded(
        isDue: Bool, _ outcome: inout AttemptOutcome, _ circumstances: some CallCircumstances
    ) -> Step {
        return isDue ? admit(.retry) : endWithoutRetry(&outcome, circumstances)
    }

    /// The gates have decided about the next sending: it goes, or it is refused. A refusal is its own outcome.
    mutating func admitted(after outcome: AttemptOutcome) -> Step {
        switch repetition {
        case .renewal: isRenewed = true
        case .withoutExpectation:
            isWithoutExpectation = true
            // The next sending has new credentials, which may be refused too.
            isRenewed = false
        case .retry:
            retries += 1
            isRenewed = false
            isWithoutExpectation = false
        }
        return startAttempt(after: outcome)
    }

    /// The client has begun to shut down while the next sending waited for a gate. The machine goes on with the last
    /// outcome, as if there were no other credentials, no sending without `Expect`, or no retry.
    mutating func drained(_ outcome: inout AttemptOutcome, _ circumstances: some CallCircumstances) -> Step {
        switch repetition {
        case .renewal: notRenewed(&outcome, circumstances)
        case .withoutExpectation: abandonBody()
        case .retry: endWithoutRetry(&outcome, circumstances)
        }
    }

    /// The number of the attempt after one with this outcome, as users see it.
    func attempt(after outcome: AttemptOutcome) -> Int {
        let made = max(attempt, outcome.attempts, 0)
        // Middleware may have set any number, even the largest.
        return made == .max ? made : made + 1
    }

    /// The executor has begun the hop.
    mutating func hopBegan() -> Step { startAttempt() }

    // MARK: Decisions

    /// Goes through the questions from `first` on. The first question with the answer yes gives the step.
    private mutating func consider(
        _ first: Question, _ outcome: inout AttemptOutcome, _ circumstances: some CallCircumstances
    ) -> Step {
        if case .ended = outcome { return end(.finish) }
        if first <= .expectation { complete(&outcome) }
        if first == .credentials, let step = renew(outcome, circumstances) { return step }
        if first <= .expectation, let step = dropExpectation(outcome, circumstances) { return step }
        if first <= .retry, let step = retry(outcome, circumstances) { return step }
        return follow(&outcome, circumstances)
    }

    /// Completes a failure with facts of earlier sendings. After a 401 or a 417 the service has answered already, so
    /// `progress` is at least `responseStarted`.
    private func complete(_ outcome: inout AttemptOutcome) {
        guard case .failed(var error, let isOwn) = outcome else { return }
        if isRenewed || isWithoutExpectation { error.progress = error.progress.furthest(.responseStarted) }
        if attempt > 1 { error.attempts = max(error.attempts, attempt) }
        outcome = .failed(error, isOwn: isOwn)
    }

    private mutating func renew(_ outcome: AttemptOutcome, _ circumstances: some CallCircumstances) -> Step? {
        guard case .answered(let response, let renewal) = outcome, !isRenewed,
            CredentialPolicy.mayRenew(after: response, renewal, request: hopRequest), !circumstances.isDraining
        else { return nil }
        state = .renewing
        return .renewCredentials(renewal)
    }

    private mutating func dropExpectation(_ outcome: AttemptOutcome, _ circumstances: some CallCircumstances) -> Step? {
        guard case .answered(let response, _) = outcome, !isWithoutExpectation,
            ExpectationPolicy.isRefused(by: response, hopRequest)
        else { return nil }
        guard ExpectationPolicy.mayRepeat(hopRequest, after: response), !circumstances.isDraining else {
            return abandonBody()
        }
        return admit(.withoutExpectation)
    }

    private mutating func abandonBody() -> Step {
        state = .abandoning
        return .abandonBody
    }

    private mutating func admit(_ repetition: Repetition) -> Step {
        self.repetition = repetition
        state = .admitting
        return .admit
    }

    /// Asks the retry policy about an outcome. After a failure, the step is `confirmVerdict`. After a response that is
    /// no failure, the step is ``reportRetrySuccess()`` if the hop had a retry. Otherwise returns nil.
    private mutating func retry(_ outcome: AttemptOutcome, _ circumstances: some CallCircumstances) -> Step? {
        let policy = policies.retryPolicy(for: hopRequest)
        if let response = outcome.response, !asksAbout(response), !policy.isFailure(response.status) {
            return reportRetrySuccess()
        }
        guard var failure = policy.describeAsFailure(outcome, wallClock: circumstances.wallClock) else { return nil }
        let now = circumstances.now
        let retryOutcome = policy.retryOutcome(
            outcome, failure, hopRequest, attempt: max(attempt, outcome.attempts), retries: retries)
        if let retryOutcome, let shouldRetry = policy.options.shouldRetry { failure.answer = shouldRetry(retryOutcome) }
        if let response = outcome.response, !policy.isFailure(response.status, failure.answer) {
            return reportRetrySuccess()
        }
        let chance = circumstances.random
        failure.customDelay = retryOutcome.flatMap { policy.options.backoff.custom?($0, chance) }
        var verdict = policy.verdict(
            after: failure, isIdempotent: hopRequest.isIdempotent, isReplayable: hopRequest.body.isReplayable,
            retries: retries,
            remaining: deadline.map { now.duration(to: $0.instant) }, random: chance)
        if case .retry = verdict, circumstances.isDraining { verdict = .giveUp(.draining) }
        decidedAt = now
        state = .confirming
        return .confirmVerdict(verdict, failure.cause)
    }

    private func asksAbout(_ response: ServiceResponse) -> Bool {
        policies.asksAboutResponses(of: hopRequest) && !RedirectPolicy.leadsElsewhere(response)
    }

    /// Returns the step after a response that is no failure; nil: the hop had no retry, so there is nothing to report.
    private mutating func reportRetrySuccess() -> Step? {
        guard retries > 0 else { return nil }
        state = .reporting
        return .reportRetrySuccess
    }

    private mutating func endWithoutRetry(
        _ outcome: inout AttemptOutcome, _ circumstances: some CallCircumstances
    ) -> Step {
        if case .failed(var error, let isOwn) = outcome {
            error.progress = error.progress.furthest(furthest)
            outcome = .failed(error, isOwn: isOwn)
        }
        return consider(.redirect, &outcome, circumstances)
    }

    private mutating func follow(_ outcome: inout AttemptOutcome, _ circumstances: some CallCircumstances) -> Step {
        switch outcome {
        case .answered(let response, _):
            guard let kind = RedirectPolicy.Kind(response.status), let url = hopRequest.url else { return end(.finish) }
            let policy = policies.redirectPolicy(for: hopRequest)
            let sender = sender(of: response, url, circumstances)
            switch policy.decide(
                kind, fields: response.receivedFields, request: hopRequest, url: sender.url, followed: followed.count,
                isMoved: sender.isMoved, named: circumstances.namedURL
            ) {
            case .stop: return end(.finish)
            case .refuse(let refusal): return end(.refuse(refusal))
            case .follow(let next):
                beginHop(next)
                // The hop's request has the URL that the caller would use. ``followed`` has the endpoint's.
                if let named = next.url.flatMap(circumstances.namedURL) { hopRequest.url = named }
                return .follow(from: sender.isMoved ? sender.url.origin : url.origin)
            }
        case .failed(var error, let isOwn):
            // Each earlier hop was answered with a redirect, so the call got at least as far as a response.
            if !followed.isEmpty { error.progress = error.progress.furthest(.responseStarted) }
            outcome = .failed(error, isOwn: isOwn)
            return end(.finish)
        case .ended: return end(.finish)
        }
    }

    /// Returns the URL that a redirect came from: its `Location` is relative to that URL (RFC 9110 §10.2.2).
    ///
    /// A balancer may have sent the request to an endpoint. Middleware may have sent it to another origin: then
    /// `isMoved` is true, and that origin, not the hop's, has chosen where the redirect leads.
    private func sender(
        of response: ServiceResponse, _ url: ServiceURL, _ circumstances: some CallCircumstances
    ) -> (url: ServiceURL, isMoved: Bool) {
        guard let sent = response.facts.url else { return (url, false) }
        if circumstances.namedURL(for: sent) != nil { return (sent, false) }
        return sent.origin == url.origin ? (url, false) : (sent, true)
    }

    private mutating func beginHop(_ request: ServiceRequest) {
        if let url = request.url { followed.append(url) }
        hopRequest = request
        attempt = 1
        retries = 0
        furthest = .neverSent
        isRenewed = false
        isWithoutExpectation = false
        state = .following
    }

    private mutating func startAttempt(after outcome: AttemptOutcome? = nil) -> Step {
        if let outcome { attempt = attempt(after: outcome) }
        attemptsStarted += 1
        state = .attempting
        return .startAttempt(attemptsStarted)
    }

    private mutating func end(_ step: Step) -> Step {
        state = .ended
        return step
    }
}

/// The facts that the machine needs about the moment in which it decides.
protocol CallCircumstances {
    /// The current time.
    var now: MonotonicInstant { get }
    /// Seconds since 1970, to compare with dates of the service.
    var wallClock: Int64 { get }
    /// A random number from 0 up to 1, a new one each time.
    var random: Double { get }
    /// Whether the client has begun to shut down. Then no retry and no second sending is begun.
    var isDraining: Bool { get }
    /// Returns the URL that the caller would use for the URL of a balancer's endpoint; nil: it is no such URL.
    func namedURL(for url: ServiceURL) -> ServiceURL?
}

extension CallCircumstances {
    /// nil: there is no balancer over base URLs.
    func namedURL(for url: ServiceURL) -> ServiceURL? { nil }
}
