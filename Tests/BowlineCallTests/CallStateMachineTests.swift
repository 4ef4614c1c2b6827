import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("What happens next in a call")
struct CallStateMachineTests {
    private static let url = "http://api.example/a"

    private static func request(
        _ method: HTTPRequest.Method = .get, _ change: (inout ServiceRequest) -> Void = { _ in }
    ) throws -> ServiceRequest {
        var request = ServiceRequest(method: method, url)
        request.url = try ServiceURL(url)
        change(&request)
        return request
    }

    /// A request with `Expect: 100-continue`.
    private static func expectingRequest() throws -> ServiceRequest {
        try request(.put) {
            $0.fields[.expect] = "100-continue"
            $0.body = .text("x")
        }
    }

    private static func answer(
        _ status: Int, _ fields: HTTPFields = [:], renewal: RenewalChance = RenewalChance()
    ) -> AttemptOutcome {
        .answered(ServiceResponse(status: .init(code: status), fields: fields), renewal)
    }

    private static func failure(
        _ code: ServiceError.Code = .connectionClosed, _ progress: RequestProgress = .ambiguous, isOwn: Bool = true
    ) -> AttemptOutcome {
        .failed(ServiceError(code, "failed", progress: progress), isOwn: isOwn)
    }

    private static let known = RenewalChance(bowlineMayRenew: true)

    /// The steps that a GET takes for outcomes in order; each question of the machine is answered with yes.
    private func steps(
        _ request: ServiceRequest, _ outcomes: [AttemptOutcome], retry: (inout RetryOptions) -> Void = { _ in },
        answersYes: Bool = true, isDraining: Bool = false
    ) -> (steps: [String], call: DrivenCall, last: AttemptOutcome) {
        var options = RetryOptions()
        retry(&options)
        let call = DrivenCall(request, policies: CallPolicies(retry: options))
        call.moment.isDraining = isDraining
        var left = outcomes[...]
        var outcome = AttemptOutcome.ended(CancellationError())
        var step = call.begin()
        var names: [String] = []
        while true {
            names.append(step.name)
            switch step {
            case .startAttempt(let number):
                guard let next = left.popFirst() else { return (names, call, outcome) }
                outcome = next
                step = call.attemptEnded(&outcome, number)
            case .renewCredentials:
                step = answersYes ? call.renewed() : call.notRenewed(&outcome)
            case .abandonBody: step = call.bodyAbandoned(&outcome)
            case .confirmVerdict(let verdict, _):
                let isRetry = if case .retry = verdict { true } else { false }
                step = call.verdictConfirmed(isRetry && !answersYes ? .giveUp(.budgetExhausted) : verdict, &outcome)
            case .reportRetrySuccess: step = call.successReported(&outcome)
            case .wait: step = call.waitEnded(isDue: answersYes, &outcome)
            case .admit: step = call.admitted(after: outcome)
            case .follow: step = call.hopBegan()
            case .refuse, .finish: return (names, call, outcome)
            }
        }
    }

    @Test(
        "A response that needs no further step ends the call after one attempt",
        arguments: [200, 204, 299, 304, 404, 500])
    func plain(status: Int) throws {
        #expect(steps(try Self.request(), [Self.answer(status)]).steps == ["startAttempt", "finish"])
    }

    @Test("A retryable status leads to a decision, a wait, a second attempt and a report of the retry's success")
    func retried() throws {
        let taken = steps(try Self.request(), [Self.answer(503), Self.failure(), Self.answer(200)])
        #expect(
            taken.steps == [
                "startAttempt", "confirmVerdict", "wait", "admit", "startAttempt", "confirmVerdict", "wait",
                "admit", "startAttempt",
                "reportRetrySuccess", "finish",
            ])
        #expect(taken.call.attempt == 3)
    }

    @Test("An empty budget changes the verdict and ends the call with the outcome")
    func refusedByBudget() throws {
        let taken = steps(try Self.request(), [Self.answer(503)], answersYes: false)
        #expect(taken.steps == ["startAttempt", "confirmVerdict", "finish"])
    }

    @Test("a redirect begins a hop, whose attempts and retries count from the beginning")
    func hop() throws {
        let taken = steps(
            try Self.request(),
            [Self.answer(503), Self.answer(302, [.location: "/b"]), Self.answer(503), Self.answer(200)])
        #expect(
            taken.steps == [
                "startAttempt", "confirmVerdict", "wait", "admit", "startAttempt", "reportRetrySuccess", "follow",
                "startAttempt", "confirmVerdict", "wait", "admit", "startAttempt", "reportRetrySuccess", "finish",
            ])
        #expect(taken.call.attempt == 2)
        #expect(taken.call.followed.map(\.path) == ["/b"])
    }

    @Test("a redirect that must not be followed ends the call")
    func refusedRedirect() throws {
        let taken = steps(try Self.request(), [Self.answer(302, [.location: "http://[::1"])])
        #expect(taken.steps == ["startAttempt", "refuse"])
    }

    @Test("Each attempt is sent again once after a 401, and without Expect after a 417, which allows another 401")
    func nested() throws {
        let request = try Self.expectingRequest()
        let refused = Self.answer(401, renewal: Self.known)
        let taken = steps(request, [refused, Self.answer(417), refused, refused])
        #expect(
            taken.steps == [
                "startAttempt", "renewCredentials", "admit", "startAttempt", "admit", "startAttempt",
                "renewCredentials", "admit", "startAttempt", "finish",
            ])
        #expect(!taken.call.request.fields.contains(.expect))
        #expect(taken.call.attempt == 4)
    }

    @Test("the next retry has its Expect again, and its own second sending")
    func expectationOfRetry() throws {
        let request = try Self.expectingRequest()
        let taken = steps(request, [Self.answer(417), Self.answer(503)])
        #expect(
            taken.steps == ["startAttempt", "admit", "startAttempt", "confirmVerdict", "wait", "admit", "startAttempt"])
        #expect(taken.call.request.fields.contains(.expect))
    }

    @Test("A 417 that must not be sent again abandons its body and is the call's outcome")
    func abandoned() throws {
        let request = try Self.expectingRequest()
        #expect(
            steps(request, [Self.answer(417)], isDraining: true).steps == ["startAttempt", "abandonBody", "finish"])
    }

    @Test("During a drain nothing is sent again")
    func draining() throws {
        let refused = Self.answer(401, renewal: Self.known)
        #expect(steps(try Self.request(), [refused], isDraining: true).steps == ["startAttempt", "finish"])
        let busy = steps(try Self.request(), [Self.answer(503)], isDraining: true)
        #expect(busy.steps == ["startAttempt", "confirmVerdict", "finish"])
    }

    @Test(
        "An error of middleware gets a decision and is never retried; any other error ends the call without a decision")
    func thrown() throws {
        let foreign = steps(try Self.request(), [Self.failure(.connectionClosed, .neverSent, isOwn: false)])
        #expect(foreign.steps == ["startAttempt", "confirmVerdict", "finish"])
        let ended = steps(try Self.request(), [.ended(CancellationError())])
        #expect(ended.steps == ["startAttempt", "finish"])
    }

    @Test("an error says how far any attempt of the hop got, and after a redirect that the service has answered")
    func furthest() throws {
        let unsent = Self.failure(.connectionRefused, .neverSent)
        let later = steps(try Self.request(), [Self.failure(), unsent, unsent])
        #expect(later.last.progress == .ambiguous)
        #expect(later.last.attempts == 3)
        let redirected = steps(
            try Self.request(), [Self.answer(302, [.location: "/b"]), unsent], retry: { $0.maximumAttempts = 1 })
        #expect(redirected.last.progress == .responseStarted)
        let refused = steps(
            try Self.request(.post), [Self.answer(401, renewal: Self.known), unsent])
        #expect(
            refused.steps == ["startAttempt", "renewCredentials", "admit", "startAttempt", "confirmVerdict", "finish"])
        #expect(refused.last.progress == .responseStarted)
    }

    @Test("Attempts count on from a number that middleware has set, up to the largest integer")
    func attemptNumbers() throws {
        var facts = ResponseFacts()
        facts.attempts = .max
        let answered = AttemptOutcome.answered(ServiceResponse(status: .serviceUnavailable, facts: facts))
        #expect(steps(try Self.request(), [answered]).call.attempt == .max)
    }

    // MARK: The table

    /// A POST that is retried because it was never sent, and whose body the service then gets and refuses: rare in a walk.
    private func abandonedRetry() throws -> DrivenCall {
        let request = try Self.request(.post) {
            $0.fields[.expect] = "100-continue"
            $0.body = .text("x")
        }
        var facts = ResponseFacts()
        facts.timings.sent = MonotonicInstant(nanoseconds: 0)
        let refused = AttemptOutcome.answered(ServiceResponse(status: .expectationFailed, facts: facts))
        return steps(request, [Self.failure(.connectionRefused, .neverSent), refused]).call
    }

    @Test("the table in the machine's documentation has every transition that a walk makes, and no other")
    func table() throws {
        let documented = try DrivenCall.Transition.documented()
        var made: Set<DrivenCall.Transition> = []
        var random = SeededRandom.fromEnvironment()
        for _ in 0..<20_000 {
            let walk = CallWalk(seed: random.next())
            made.formUnion(walk.run().transitions)
        }
        made.formUnion(try abandonedRetry().transitions)
        #expect(made.subtracting(documented).isEmpty)
        #expect(documented.subtracting(made).isEmpty)
    }

    @Test("A random walk makes the same attempts, and ends with the same outcome, as nested middleware")
    func walk() throws {
        var random = SeededRandom.fromEnvironment()
        for _ in 0..<20_000 {
            let seed = random.next()
            let machine = CallWalk(seed: seed).run()
            let model = NestedModel(CallWalk(seed: seed)).run()
            #expect(machine.sent == model.sent, "seed \(seed)")
            #expect(machine.ended == model.ended, "seed \(seed)")
            if machine.sent != model.sent || machine.ended != model.ended { return }
        }
    }
}
