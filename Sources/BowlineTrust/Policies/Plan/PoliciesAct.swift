internal import Bowline
internal import BowlineTesting

/// The reaction of the service to one attempt, drawn from the seed.
struct PoliciesAct: Sendable, Hashable {
    /// Where a redirect leads.
    enum Target: Sendable, Hashable, CaseIterable {
        /// A relative reference.
        case relative
        /// The host that the caller named.
        case sameHost
        /// Another host of the plan, if there is one.
        case otherHost
        /// The first endpoint of the balancer, if there is one.
        case endpoint
    }

    /// A failure of the transport.
    enum Fault: String, Sendable, Hashable, CaseIterable {
        /// The dial fails at once.
        case refusedConnect
        /// The dial fails after 300 ms.
        case slowConnect
        /// The service refuses the stream: it has not seen the request.
        case refusedStream
        /// The connection ends after the request was sent.
        case closed
        /// The stream is reset after the request was sent.
        case reset
    }

    enum Reaction: Sendable, Hashable {
        /// Executes the request, and answers with 200.
        case answers
        /// Answers with this status.
        case rejects(Int, retryAfter: Int?, isExecuted: Bool)
        /// Redirects to the next hop of the call with this status.
        case redirects(Int, Target)
        case fails(Fault, isExecuted: Bool)
        /// Never answers.
        case isSilent(isExecuted: Bool)
        /// Executes the request, and answers with 200 and a body that fails.
        case truncates
    }

    /// The values of the field `RateLimit`.
    struct Quota: Sendable, Hashable {
        let remaining: Int
        let window: Int
    }

    var reaction = Reaction.answers
    /// How long after the request the service reacts.
    var delay = Duration.zero
    /// How long after the head the body comes. nil: the body comes together with the head.
    var bodyDelay: Duration?
    /// nil: the answer has no such field.
    var quota: Quota?

    /// Draws an act.
    ///
    /// - Parameters:
    ///   - faults: The share of requests that are not answered with 200, from 0 to 1.
    ///   - isSlow: Whether the service takes 100 ms to 4 s.
    static func drawn(_ random: inout SeededRandom, faults: Double, isSlow: Bool) -> PoliciesAct {
        var act = PoliciesAct()
        act.delay = [.zero, .microseconds(300), .milliseconds(5), .milliseconds(80)].picked(&random, else: .zero)
        if isSlow || random.nextBool(probability: 0.05) { act.delay = .milliseconds(random.next(in: 100..<4_000)) }
        if random.nextBool(probability: 0.2) {
            act.bodyDelay = [.zero, .milliseconds(3), .milliseconds(200)].picked(&random, else: .zero)
        }
        if random.nextBool(probability: 0.1) {
            act.quota = Quota(remaining: random.next(in: 0..<5), window: random.next(in: 1..<6))
        }
        if random.nextBool(probability: faults) { act.reaction = fault(&random) }
        return act
    }

    private static func fault(_ random: inout SeededRandom) -> Reaction {
        let isExecuted = random.nextBool()
        switch random.next(in: 0..<100) {
        case 0..<45:
            let retryAfter = [nil, nil, nil, 0, 1, 3, 60].picked(&random) ?? nil
            let status = [429, 429, 503, 503, 503, 500, 502, 504, 408, 404].picked(&random, else: 503)
            return .rejects(status, retryAfter: retryAfter, isExecuted: isExecuted && status >= 500)
        case 45..<55: return .rejects(401, retryAfter: nil, isExecuted: false)
        case 55..<67:
            let target = Target.allCases.picked(&random, else: .relative)
            return .redirects([301, 302, 303, 307, 308].picked(&random, else: 302), target)
        case 67..<90:
            let fault = Fault.allCases.picked(&random, else: .closed)
            return .fails(fault, isExecuted: isExecuted && (fault == .closed || fault == .reset))
        case 90..<95: return .isSilent(isExecuted: isExecuted)
        default: return .truncates
        }
    }
}
