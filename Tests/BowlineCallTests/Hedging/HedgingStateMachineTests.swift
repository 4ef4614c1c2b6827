import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("The machine of hedges")
struct HedgingStateMachineTests {
    /// A round with a first attempt and this many hedges in flight.
    private func round(hedges: Int = 1, maximum: Int? = nil) -> DrivenRound {
        let round = DrivenRound(maximumHedges: maximum ?? hedges)
        round.began()
        for hedge in 0..<hedges {
            round.delayPassed(10 * (hedge + 1))
            round.granted(10 * (hedge + 1))
        }
        return round
    }

    // MARK: When hedges begin

    @Test("A round begins with one attempt, and a timer for the first hedge", .tags(.HG2))
    func begins() {
        let round = DrivenRound()
        #expect(round.began(5) == .start(1, nextHedge: at(15)))
        #expect(round.inFlight == AttemptSet([1]))
    }

    @Test("An attempt that ends before the delay ends the round, whatever its outcome", .tags(.HG2))
    func endsEarly() {
        for ending in [HedgingStateMachine.Ending.acceptable, .retryable, .failed(.neverSent), .ended(wasSent: true)] {
            let round = DrivenRound()
            round.began()
            #expect(round.ended(1, ending) == .finish(1, cancel: AttemptSet()))
            #expect(round.delayPassed(10) == .nothing)
        }
    }

    @Test("A hedge begins after the delay if the budget grants it; the next one after another delay", .tags(.HG4))
    func hedges() {
        let round = DrivenRound(maximumHedges: 2)
        round.began()
        #expect(round.delayPassed(10) == .withdraw)
        #expect(round.granted(11) == .start(2, nextHedge: at(21)))
        #expect(round.delayPassed(21) == .withdraw)
        #expect(round.granted(21) == .start(3, nextHedge: nil))
        #expect(round.delayPassed(31) == .nothing)
        #expect(round.inFlight == AttemptSet([1, 2, 3]))
    }

    @Test("A hedge that the budget refuses does not begin, and no other one either", .tags(.HG4))
    func refused() {
        let round = DrivenRound(maximumHedges: 2)
        round.began()
        round.delayPassed(10)
        #expect(round.refused() == .nothing)
        #expect(round.delayPassed(20) == .nothing)
        #expect(round.started == 1)
        #expect(round.ended(1, .retryable) == .finish(1, cancel: AttemptSet()))
    }

    @Test("While the newest attempt waits within the client, a hedge is put off", .tags(.HG2))
    func putOff() {
        let round = DrivenRound(deadline: at(35))
        round.began()
        #expect(round.delayPassed(10, isWaiting: true) == .arm(at(20)))
        #expect(round.delayPassed(20, isWaiting: true) == .arm(at(30)))
        // The next delay would end after the deadline.
        #expect(round.delayPassed(30, isWaiting: true) == .nothing)
        #expect(round.delayPassed(31) == .nothing)
    }

    @Test("No hedge begins at the deadline or after it", .tags(.HG7))
    func deadline() {
        #expect(DrivenRound(deadline: at(10)).began() == .start(1, nextHedge: nil))
        let round = DrivenRound(deadline: at(11))
        #expect(round.began() == .start(1, nextHedge: at(10)))
        #expect(round.delayPassed(11) == .nothing)
        #expect(round.started == 1)
    }

    @Test("A drain starts no hedge, and lets the attempts in flight end", .tags(.HG6))
    func drain() {
        let round = round(hedges: 1, maximum: 3)
        round.drainBegan()
        #expect(round.delayPassed(20) == .nothing)
        #expect(round.ended(1, .retryable) == .keep)
        #expect(round.ended(2, .acceptable) == .finish(2, cancel: AttemptSet()))
    }

    // MARK: Which outcome counts

    @Test("The first acceptable response wins, and the attempts in flight are cancelled", .tags(.HG1))
    func wins() {
        for winner in 1...3 {
            let round = round(hedges: 2)
            #expect(
                round.ended(winner, .acceptable) == .finish(winner, cancel: AttemptSet((1...3).filter { $0 != winner }))
            )
            for loser in 1...3 where loser != winner { #expect(round.ended(loser, .acceptable) == .drop) }
        }
    }

    @Test("A failure or a retryable response does not win while another attempt is in flight", .tags(.HG5))
    func waits() {
        for ending in [HedgingStateMachine.Ending.retryable, .failed(.responseStarted), .ended(wasSent: true)] {
            let round = round()
            #expect(round.ended(1, ending) == .keep)
            #expect(round.ended(2, .acceptable) == .finish(2, cancel: AttemptSet()))
        }
    }

    private static let fromLeast: [HedgingStateMachine.Ending] =
        [.ended(wasSent: false), .unadmitted]
        + [RequestProgress.neverSent, .refused, .ambiguous, .responseStarted].map { .failed($0) } + [.retryable]

    @Test(
        "If all attempts fail, the outcome with the most information counts; of two equal ones, the later", .tags(.HG5))
    func mostInformation() {
        for (lower, less) in Self.fromLeast.enumerated() {
            for (higher, more) in Self.fromLeast.enumerated() where lower <= higher {
                let rising = round()
                #expect(rising.ended(1, less) == .keep)
                #expect(rising.ended(2, more) == .finish(2, cancel: AttemptSet()), "\(less), \(more)")
                guard lower < higher else { continue }
                let falling = round()
                #expect(falling.ended(1, more) == .keep)
                #expect(falling.ended(2, less) == .finish(1, cancel: AttemptSet()), "\(more), \(less)")
                let three = round(hedges: 2)
                three.ended(1, more)
                #expect(three.ended(2, less) == .drop)
            }
        }
    }

    @Test("The furthest progress is that of any attempt, also of one whose outcome does not count", .tags(.HG5))
    func furthest() {
        let three = round(hedges: 2)
        three.ended(1, .failed(.ambiguous))
        three.ended(2, .failed(.neverSent))
        #expect(three.ended(3, .failed(.refused)) == .finish(1, cancel: AttemptSet()))
        #expect(three.furthest == .ambiguous)
        let broken = round(hedges: 1)
        broken.ended(1, .ended(wasSent: true))
        #expect(broken.ended(2, .failed(.neverSent)) == .finish(2, cancel: AttemptSet()))
        #expect(broken.furthest == .ambiguous)
        let unsent = round(hedges: 1)
        unsent.ended(1, .ended(wasSent: false))
        #expect(unsent.ended(2, .failed(.refused)) == .finish(2, cancel: AttemptSet()))
        #expect(unsent.furthest == .refused)
    }

    @Test("After the caller's cancellation the cancellation counts, unless an acceptable response came", .tags(.HG7))
    func cancelled() {
        let round = round()
        round.ended(1, .retryable)
        round.cancelled()
        #expect(round.delayPassed(20) == .nothing)
        #expect(round.ended(2, .ended(wasSent: true)) == .finish(2, cancel: AttemptSet()))
        let answered = self.round()
        answered.cancelled()
        #expect(answered.ended(1, .ended(wasSent: true)) == .keep)
        #expect(answered.ended(2, .acceptable) == .finish(2, cancel: AttemptSet()))
    }

    @Test("Numbers out of range are clamped; extremes of the clock do not trap", .tags(.BI4))
    func extremes() {
        let many = DrivenRound(delay: .zero, maximumHedges: .max)
        many.began()
        for now in 1...20 {
            many.delayPassed(now)
            many.granted(now)
        }
        #expect(many.started == HedgingStateMachine.maximumAttempts)
        #expect(many.inFlight.count == HedgingStateMachine.maximumAttempts)
        #expect(DrivenRound(maximumHedges: .min).began() == .start(1, nextHedge: nil))
        #expect(DrivenRound(delay: .seconds(Int64.max)).began() == .start(1, nextHedge: nil))
        var machine = HedgingStateMachine(delay: .milliseconds(1), maximumHedges: 1, deadline: nil)
        let last = machine.began(at: .distantFuture)
        #expect(last == .start(1, nextHedge: nil))
        let unknown = [0, -1, 64, .max, .min].map { machine.attemptEnded($0, .acceptable) }
        #expect(unknown.allSatisfy { $0 == .drop })
    }

    // MARK: The table

    /// One random round: any input in any order, as long as the driver could make it.
    private func walk(seed: UInt64, steps: Int) throws -> Set<DrivenCall.Transition> {
        var random = SeededRandom(seed: seed)
        let deadline = random.nextBool(probability: 0.5) ? random.next(in: 0..<80) : nil
        let maximumHedges = random.next(in: 0..<5)
        let round = DrivenRound(
            delay: .milliseconds(7), maximumHedges: maximumHedges, deadline: deadline.map { at($0) })
        var model = HedgingModel(delay: 7, maximumHedges: maximumHedges, deadline: deadline)
        let endings = [HedgingStateMachine.Ending.acceptable] + Self.fromLeast
        var now = 0
        try #require(round.began(now) == model.begin(now), "seed \(seed)")
        for _ in 0..<steps {
            now += random.next(in: 0..<8)
            if model.asks {
                let grants = random.nextBool(probability: 0.8)
                let expected = model.budget(grants: grants, now)
                try #require((grants ? round.granted(now) : round.refused()) == expected, "seed \(seed)")
            } else {
                switch random.next(in: 0..<12) {
                case 0: try #require(round.began(now) == .nothing)
                case 1...5:
                    let isWaiting = random.nextBool(probability: 0.2)
                    let expected = model.delayPassed(now, isWaiting: isWaiting)
                    try #require(round.delayPassed(now, isWaiting: isWaiting) == expected, "seed \(seed)")
                case 6:
                    guard random.nextBool(probability: 0.2) else { continue }
                    model.drain()
                    try #require(round.drainBegan() == .nothing)
                case 7:
                    guard random.nextBool(probability: 0.2) else { continue }
                    model.cancel()
                    try #require(round.cancelled() == .nothing)
                default:
                    let attempt = random.next(in: 1..<max(model.started, 1) + 2)
                    let ending = endings[random.next(in: 0..<endings.count)]
                    let expected = model.end(attempt, ending)
                    try #require(round.ended(attempt, ending) == expected, "seed \(seed)")
                }
            }
            try #require(round.started == model.started && round.started <= 1 + maximumHedges, "seed \(seed)")
            try #require((round.state == .ended) == (model.winner != nil), "seed \(seed)")
            if model.winner == nil { try #require(round.inFlight == AttemptSet(model.running), "seed \(seed)") }
        }
        return round.transitions
    }

    @Test("A random walk of 100,000 steps takes the steps of a model, and makes exactly the documented transitions")
    func walk() throws {
        var random = SeededRandom.fromEnvironment()
        var made: Set<DrivenCall.Transition> = []
        let walks = RandomWalks.usually(4000, steps: 25)
        for _ in 0..<walks.count { made.formUnion(try walk(seed: random.next(), steps: walks.steps)) }
        let documented = try HedgingStateMachine.Step.documented()
        #expect(made.subtracting(documented).isEmpty)
        #expect(documented.subtracting(made).isEmpty)
    }
}
