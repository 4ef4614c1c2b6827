internal import BowlineTesting

/// What the service does with one arrival of a request, drawn from the seed.
struct SimulationAct: Sendable, Hashable {
    enum Reaction: Sendable, Hashable {
        /// Executes the request, and answers with 200.
        case answers
        /// Answers with this status, and does not execute the request.
        case rejects(Int, retryAfter: Int?)
        /// Redirects to the same call with this status.
        case redirects(Int)
        /// Ends the connection (HTTP/2: the connection) without an answer.
        case closes(isExecuted: Bool)
        /// Resets the connection, or the stream.
        case resets(isExecuted: Bool)
        /// Refuses the stream (HTTP/2), or closes the connection before it has the request.
        case refuses
        /// Never answers.
        case isSilent(isExecuted: Bool)
        /// Executes the request, and ends the connection or the stream in the middle of the answer.
        case truncates(isReset: Bool)
        /// Waits until the test says what to do.
        case isHeld
    }

    enum Framing: Sendable, Hashable, CaseIterable {
        case length, chunked, untilClose
    }

    var reaction = Reaction.answers
    /// How long after the whole request the service reacts, or after its head if it reacts early.
    var delay = Duration.zero
    /// Whether the service reacts to the head, before it has the body.
    var isEarly = false
    /// How many informational responses come before the answer.
    var informational = 0
    /// The framing of the answer's body; HTTP/1.1 only.
    var framing = Framing.length
    /// The largest piece of the answer's body, and the pause after each piece.
    var pieceSize = 65_536
    var pause = Duration.zero
    /// Whether the answer is the last of its connection: `Connection: close`, or GOAWAY.
    var closesAfter = false
    /// Whether `Connection: close` is sent. Otherwise the connection just closes.
    var saysClose = true
    /// Whether the service answers `Expect: 100-continue` with 100.
    var answersContinue = true

    /// Draws an act.
    ///
    /// - Parameters:
    ///   - isCalm: Whether the service answers each request with success.
    ///   - isFirst: Whether it is the first arrival of its call. Only the first may be redirected.
    static func drawn(_ random: inout SeededRandom, isCalm: Bool, isFirst: Bool) -> SimulationAct {
        var act = SimulationAct()
        act.delay = [.zero, .zero, .microseconds(300), .milliseconds(5), .milliseconds(80)]
            .picked(&random, else: .zero)
        act.framing = Framing.allCases.picked(&random, else: .length)
        // A body that the end of the connection ends is rare.
        if act.framing == .untilClose, random.nextBool(probability: 0.8) { act.framing = .length }
        act.informational = random.nextBool(probability: 0.1) ? random.next(in: 1..<4) : 0
        if random.nextBool(probability: 0.3) {
            act.pieceSize = [1, 100, 3_000].picked(&random, else: 100)
            act.pause = [.zero, .microseconds(200), .milliseconds(2)].picked(&random, else: .zero)
        }
        act.closesAfter = random.nextBool(probability: 0.08)
        act.saysClose = random.nextBool(probability: 0.7)
        act.answersContinue = random.nextBool(probability: 0.7)
        guard !isCalm else {
            // A connection that closes unannounced may take a request with it.
            act.saysClose = true
            return act
        }
        if random.nextBool(probability: 0.1) { act.delay = .milliseconds(random.next(in: 100..<4_000)) }
        act.isEarly = random.nextBool(probability: 0.08)
        act.reaction = reaction(&random, isFirst: isFirst)
        // Without a length, the end of the connection is the end of the body, also in its middle.
        if case .truncates = act.reaction, act.framing == .untilClose { act.framing = .length }
        return act
    }

    private static func reaction(_ random: inout SeededRandom, isFirst: Bool) -> Reaction {
        let isExecuted = random.nextBool()
        switch random.next(in: 0..<100) {
        case 0..<60: return .answers
        case 60..<74:
            let retryAfter = [nil, nil, 0, 1, 3, 60].picked(&random) ?? nil
            return .rejects([429, 503, 503, 401, 404, 500, 408].picked(&random, else: 503), retryAfter: retryAfter)
        case 74..<80: return isFirst ? .redirects([302, 307, 308, 303].picked(&random, else: 302)) : .answers
        case 80..<84: return .closes(isExecuted: isExecuted)
        case 84..<88: return .resets(isExecuted: isExecuted)
        case 88..<92: return .refuses
        case 92..<95: return .isSilent(isExecuted: isExecuted)
        default: return .truncates(isReset: random.nextBool())
        }
    }
}
