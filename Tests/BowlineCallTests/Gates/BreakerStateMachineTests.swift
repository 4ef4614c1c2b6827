import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("The circuit breaker")
struct BreakerStateMachineTests {
    // MARK: Opening

    @Test(
        "The breaker opens when the share of failures reaches the ratio, and not before the fewest attempts",
        .tags(.BR1))
    func opens() {
        let breaker = DrivenBreaker()
        for _ in 0..<9 { #expect(breaker.attempt(.failure) == nil) }
        for _ in 0..<9 { #expect(breaker.attempt(.success) == nil) }
        // 9 of 19 are too few attempts, 10 of 20 are half.
        #expect(breaker.attempt(.success) == nil)
        #expect(breaker.attempt(.failure) == BreakerTransition(from: .closed, to: .open, openFor: .seconds(5)))
        #expect(breaker.peek() == BreakerRefusal(reason: .open, retryAfter: .seconds(5)))
    }

    @Test("Below the ratio the breaker stays closed", .tags(.BR1))
    func staysClosed() {
        let breaker = DrivenBreaker()
        for index in 0..<1000 { #expect(breaker.attempt(index % 5 < 2 ? .failure : .success) == nil) }
        #expect(breaker.state == .closed)
        #expect(breaker.peek() == nil)
    }

    @Test("Results that have left the window do not count", .tags(.BR2))
    func window() {
        let breaker = DrivenBreaker()
        for _ in 0..<19 { _ = breaker.attempt(.failure) }
        breaker.advance(by: .seconds(10))
        #expect(breaker.attempt(.failure) == nil)
        for _ in 0..<18 { #expect(breaker.attempt(.failure) == nil) }
        #expect(breaker.attempt(.failure)?.to == .open)
    }

    @Test("The window slides by a tenth of its length", .tags(.BR2))
    func slices() {
        let breaker = DrivenBreaker()
        for _ in 0..<10 {
            for _ in 0..<2 { #expect(breaker.attempt(.success) == nil) }
            breaker.advance(by: .seconds(1))
        }
        // The first second has left: 18 successes and as many failures are half.
        for _ in 0..<17 { #expect(breaker.attempt(.failure) == nil) }
        #expect(breaker.attempt(.failure)?.to == .open)
    }

    @Test("An ignored result does not count", .tags(.BR5))
    func ignored() {
        let breaker = DrivenBreaker()
        for _ in 0..<19 { _ = breaker.attempt(.failure) }
        for _ in 0..<100 { #expect(breaker.attempt(.ignored) == nil) }
        #expect(breaker.attempt(.failure)?.to == .open)
    }

    @Test("Slow attempts open the breaker if a slow duration is set", .tags(.BR7))
    func slow() {
        let breaker = DrivenBreaker()
        for _ in 0..<100 { #expect(breaker.attempt(.success, took: .seconds(100)) == nil) }
        breaker.options.slowCallDuration = .seconds(1)
        breaker.options.slowCallRatio = 0.8
        breaker.advance(by: .seconds(10))
        for _ in 0..<4 { _ = breaker.attempt(.success, took: .milliseconds(999)) }
        for _ in 0..<15 { #expect(breaker.attempt(.success, took: .seconds(1)) == nil) }
        #expect(breaker.attempt(.success, took: .seconds(1))?.to == .open)
    }

    // MARK: The open period

    @Test(
        "Each opening doubles the open period up to the maximum, and a success of all probes closes the breaker",
        .tags(.BR3))
    func doubling() {
        let breaker = DrivenBreaker()
        breaker.trip()
        for seconds in [5, 10, 20, 40, 60, 60] {
            #expect(breaker.peek()?.retryAfter == .seconds(seconds))
            breaker.advance(by: .seconds(seconds) - .nanoseconds(1))
            #expect(breaker.peek()?.reason == .open)
            breaker.advance(by: .nanoseconds(1))
            #expect(breaker.peek() == nil)
            #expect(breaker.attempt(.failure)?.to == .open)
        }
        breaker.advance(by: .seconds(60))
        for _ in 0..<2 { #expect(breaker.attempt(.success) == nil) }
        #expect(breaker.attempt(.success) == BreakerTransition(from: .halfOpen, to: .closed))
    }

    @Test(
        "The open period varies by 20 % to both sides", .tags(.BR3),
        arguments: [(0.0, 4000), (0.25, 4500), (0.5, 5000), (1, 6000)])
    func jitter(random: Double, milliseconds: Int) {
        let breaker = DrivenBreaker()
        breaker.random = random
        breaker.trip()
        #expect(breaker.peek()?.retryAfter == .milliseconds(milliseconds))
    }

    @Test(
        "The open period begins from the start after the breaker was closed for a window, and not before", .tags(.BR3))
    func forgets() {
        for (closedFor, seconds) in [(Duration.seconds(9), 10), (.seconds(10), 5)] {
            let breaker = DrivenBreaker()
            breaker.trip()
            breaker.advance(by: .seconds(5))
            for _ in 0..<3 { _ = breaker.attempt(.success) }
            #expect(breaker.state == .closed)
            breaker.advance(by: closedFor)
            breaker.trip()
            #expect(breaker.peek()?.retryAfter == .seconds(seconds))
        }
    }

    // MARK: Probes

    @Test(
        "A half-open breaker sends the probes and refuses other attempts, for about as long as an attempt takes",
        .tags(.BR4))
    func probes() throws {
        let breaker = DrivenBreaker()
        _ = breaker.attempt(.success, took: .milliseconds(40))
        breaker.trip()
        breaker.advance(by: .seconds(5))
        var passes: [BreakerPass] = []
        for index in 0..<3 {
            let (pass, transition) = try #require(breaker.admitted())
            #expect(pass.isProbe)
            #expect(transition == (index == 0 ? BreakerTransition(from: .open, to: .halfOpen) : nil))
            passes.append(pass)
        }
        #expect(breaker.peek() == BreakerRefusal(reason: .probing, retryAfter: .milliseconds(40)))
        // A success keeps its place, an ignored result gives it to another attempt.
        #expect(breaker.end(passes[0], .success) == nil)
        #expect(breaker.peek()?.reason == .probing)
        #expect(breaker.end(passes[1], .ignored) == nil)
        let (last, _) = try #require(breaker.admitted())
        #expect(breaker.end(last, .success) == nil)
        #expect(breaker.end(passes[2], .success)?.to == .closed)
    }

    @Test("A probe that fails opens the breaker at once, and the results of the other probes are ignored", .tags(.BR4))
    func failedProbe() throws {
        let breaker = DrivenBreaker()
        breaker.trip()
        breaker.advance(by: .seconds(5))
        let (first, _) = try #require(breaker.admitted())
        let (second, _) = try #require(breaker.admitted())
        #expect(breaker.end(first, .failure) == BreakerTransition(from: .halfOpen, to: .open, openFor: .seconds(10)))
        #expect(breaker.end(second, .success) == nil)
        #expect(breaker.state == .open)
    }

    @Test("Probes that do not end lose their permits after the open period; their late results count", .tags(.BR4))
    func hangingProbes() throws {
        let breaker = DrivenBreaker()
        breaker.trip()
        breaker.advance(by: .seconds(5))
        var hanging: [BreakerPass] = []
        while let (pass, _) = breaker.admitted() { hanging.append(pass) }
        #expect(hanging.count == 3)
        breaker.advance(by: .seconds(5) - .nanoseconds(1))
        #expect(breaker.peek()?.reason == .probing)
        breaker.advance(by: .nanoseconds(1))
        var next: [BreakerPass] = []
        while let (pass, _) = breaker.admitted() { next.append(pass) }
        #expect(next.count == 3)
        #expect(breaker.end(next[0], .success) == nil)
        #expect(breaker.end(hanging[0], .success) == nil)
        // The late result has taken no permit back.
        #expect(breaker.peek()?.reason == .probing)
        #expect(breaker.end(next[1], .success)?.to == .closed)
        #expect(breaker.end(hanging[1], .failure) == nil)
        #expect(breaker.state == .closed)
    }

    @Test("A late failure of a probe without a permit opens the breaker", .tags(.BR4))
    func lateFailure() throws {
        let breaker = DrivenBreaker()
        breaker.trip()
        breaker.advance(by: .seconds(5))
        let (hanging, _) = try #require(breaker.admitted())
        while breaker.admitted() != nil {}
        breaker.advance(by: .seconds(5))
        _ = breaker.admitted()
        #expect(breaker.end(hanging, .failure)?.to == .open)
    }

    @Test("Results of attempts that began before the last change of state are ignored", .tags(.BR2))
    func epochs() throws {
        let breaker = DrivenBreaker()
        let old = try (0..<30).map { _ in try #require(breaker.admitted()).pass }
        breaker.trip()
        for pass in old[..<10] { #expect(breaker.end(pass, .failure) == nil) }
        breaker.advance(by: .seconds(5))
        let (probe, _) = try #require(breaker.admitted())
        for pass in old[10..<20] { #expect(breaker.end(pass, .failure) == nil) }
        #expect(breaker.state == .halfOpen)
        _ = breaker.end(probe, .success)
        for _ in 0..<2 { _ = breaker.attempt(.success) }
        #expect(breaker.state == .closed)
        for pass in old[20...] { #expect(breaker.end(pass, .failure) == nil) }
        for _ in 0..<19 { #expect(breaker.attempt(.failure) == nil) }
        #expect(breaker.attempt(.failure)?.to == .open)
    }

    // MARK: By hand

    @Test("An isolated breaker refuses until it is reset, and a reset forgets all results", .tags(.BR6))
    func byHand() throws {
        let breaker = DrivenBreaker()
        for _ in 0..<19 { _ = breaker.attempt(.failure) }
        #expect(breaker.isolate() == BreakerTransition(from: .closed, to: .isolated))
        #expect(breaker.isolate() == nil)
        breaker.advance(by: .seconds(1_000_000))
        #expect(breaker.peek() == BreakerRefusal(reason: .isolated, retryAfter: nil))
        #expect(breaker.admitted() == nil)
        #expect(breaker.reset() == BreakerTransition(from: .isolated, to: .closed))
        for _ in 0..<19 { #expect(breaker.attempt(.failure) == nil) }
        #expect(breaker.reset() == nil)
        for _ in 0..<19 { #expect(breaker.attempt(.failure) == nil) }
        #expect(breaker.attempt(.failure)?.openFor == .seconds(5))
    }

    // MARK: The table, a walk, extremes

    @Test("The machine does what its table says, and no more")
    func table() throws {
        var made: Set<DocumentedTransition> = []
        for state in BreakerState.allCases {
            for input in BreakerInput.allCases {
                if let transition = DrivenBreaker.made(in: state, input) { made.insert(transition) }
            }
        }
        let documented = try DocumentedTransition.rows(of: "BreakerStateMachine.swift")
        #expect(made.subtracting(documented) == [])
        #expect(documented.subtracting(made) == [])
    }

    @Test("For 100,000 random steps the breaker does what the model does")
    func walk() throws {
        var random = SeededRandom.fromEnvironment()
        let walks = RandomWalks.usually(200, steps: 500)
        for round in 0..<walks.count {
            var walk = BreakerWalk(&random)
            for step in 0..<walks.steps {
                let difference = walk.step(&random)
                try #require(difference == nil, "round \(round), step \(step): \(difference ?? "")")
            }
        }
    }

    @Test("Extreme options, times and random numbers do not trap", .tags(.BI4))
    func extremes() {
        let durations: [Duration] = [.seconds(Int64.max), .seconds(Int64.min), .zero, .nanoseconds(1), .seconds(5)]
        let instants = [Int64.min, Int64.min + 1, -1, 0, Int64.max - 1, .max].map(MonotonicInstant.init(nanoseconds:))
        for duration in durations {
            for maximum in durations {
                for (ratio, count) in [(Double.nan, Int.min), (0, 0), (-.infinity, .max), (.infinity, 1), (0.5, 1)] {
                    let breaker = DrivenBreaker()
                    breaker.options.open = duration
                    breaker.options.maximumOpen = maximum
                    breaker.options.window = maximum
                    breaker.options.slowCallDuration = duration
                    (breaker.options.failureRatio, breaker.options.slowCallRatio) = (ratio, ratio)
                    (breaker.options.minimumAttempts, breaker.options.probes) = (count, count)
                    for instant in instants + instants.reversed() {
                        breaker.now = instant
                        for random in [0, .nan, -1, .infinity] {
                            breaker.random = random
                            for result in [BreakerResult.failure, .success] {
                                let wasClosed = breaker.state == .closed
                                if breaker.attempt(result, took: duration) == nil { continue }
                                #expect(breaker.state != .closed || !wasClosed)
                            }
                        }
                    }
                    _ = breaker.isolate()
                    #expect(breaker.reset()?.to == .closed)
                }
            }
        }
    }

    @Test("A clock that stands still does not keep the counts from growing or the breaker from working", .tags(.BI2))
    func still() {
        let breaker = DrivenBreaker()
        for index in 0..<200_000 { _ = breaker.attempt(index % 2 == 0 ? .success : .ignored) }
        for _ in 0..<99_999 { _ = breaker.attempt(.failure) }
        #expect(breaker.state == .closed)
        #expect(breaker.attempt(.failure)?.to == .open)
        for _ in 0..<100 { #expect(breaker.attempt(.success) == nil) }
        #expect(breaker.state == .open)
    }
}
