import BowlineCore
import Testing

@testable import BowlineTesting

@Suite("Machine of virtual time")
struct VirtualTimeMachineTests {
    private typealias Machine = VirtualTimeStateMachine<String, String>

    /// A machine, and the words for its steps.
    private struct Bench {
        var machine: Machine
        var random = SeededRandom(seed: 1)

        init(_ order: VirtualTime.JobOrder = .arrival, _ configure: (inout VirtualTimeLimits) -> Void = { _ in }) {
            var limits = VirtualTimeLimits(end: MonotonicInstant(nanoseconds: 1000))
            configure(&limits)
            machine = Machine(start: MonotonicInstant(nanoseconds: 0), order: order, limits: limits)
        }

        mutating func ready(_ jobs: String...) {
            for job in jobs { _ = machine.jobBecameReady(job) }
        }

        @discardableResult
        mutating func addSleeper(_ name: String, until deadline: Int64) -> Machine.Ticket {
            let ticket = machine.reserveSleep()
            _ = machine.sleepBegan(name, ticket, until: MonotonicInstant(nanoseconds: deadline))
            return ticket
        }

        mutating func next() -> String {
            switch machine.next(random: &random) {
            case .run(let job): "run \(job)"
            case .resume(let sleepers): "resume \(sleepers.joined(separator: " ")) at \(machine.now.nanoseconds)"
            case .cancel(let sleepers): "cancel \(sleepers.joined(separator: " "))"
            case .wait: "wait"
            case .waitBriefly: "wait briefly"
            case .cancelBody(let reason): "cancel body: \(reason)"
            case .end(let jobs): jobs.isEmpty ? "end" : "end with \(jobs.joined(separator: " "))"
            }
        }
    }

    @Test("Jobs run in the order of their arrival, and the clock jumps only when none is ready", .tags(.VT1))
    func order() {
        var bench = Bench()
        bench.ready("a", "b")
        bench.addSleeper("late", until: 20)
        bench.addSleeper("early", until: 10)
        #expect(bench.next() == "run a")
        bench.ready("c")
        #expect(bench.next() == "run b")
        #expect(bench.next() == "run c")
        #expect(bench.next() == "resume early at 10")
        bench.ready("d")
        #expect(bench.next() == "run d")
        #expect(bench.next() == "resume late at 20")
        #expect(bench.machine.jobsRun == 4)
    }

    @Test("All sleepers of one instant are resumed together, in the order of their arrival")
    func sameInstant() {
        var bench = Bench()
        for name in ["a", "b", "c"] { bench.addSleeper(name, until: 5) }
        #expect(bench.next() == "resume a b c at 5")
    }

    @Test("The order of the seed contains the same jobs, and differs from the order of arrival")
    func shuffled() {
        let jobs = (0..<20).map { "\($0)" }
        func run(seed: UInt64) -> [String] {
            var bench = Bench(.shuffled)
            bench.random = SeededRandom(seed: seed)
            for job in jobs { bench.ready(job) }
            return jobs.map { _ in bench.next() }
        }
        let first = run(seed: 1)
        #expect(first.sorted() == jobs.map { "run \($0)" }.sorted())
        #expect(first != jobs.map { "run \($0)" })
        #expect(run(seed: 1) == first)
        #expect(run(seed: 2) != first)
    }

    @Test("A task that settles continues before the clock jumps, and after all jobs")
    func settling() {
        var bench = Bench()
        bench.ready("a")
        bench.addSleeper("sleeper", until: 10)
        #expect(bench.machine.settlingBegan("settler") == true)
        #expect(bench.next() == "run a")
        #expect(bench.next() == "resume settler at 0")
        #expect(bench.next() == "resume sleeper at 10")
    }

    @Test("Held, the clock does not jump, but jobs run")
    func held() {
        var bench = Bench()
        bench.addSleeper("sleeper", until: 10)
        bench.machine.holdBegan()
        #expect(bench.next() == "wait")
        bench.ready("a")
        #expect(bench.next() == "run a")
        #expect(bench.next() == "wait")
        bench.machine.holdEnded()
        #expect(bench.next() == "resume sleeper at 10")
    }

    @Test("A sleep ends at once if its deadline has passed, or its ticket was withdrawn")
    func shortSleeps() {
        var bench = Bench()
        let passed = bench.machine.reserveSleep()
        let now = bench.machine.now
        guard case .over = bench.machine.sleepBegan("passed", passed, until: now) else {
            Issue.record("the deadline has passed")
            return
        }
        let cancelled = bench.machine.reserveSleep()
        #expect(bench.machine.sleepCancelled(cancelled) == nil)
        guard case .cancelled = bench.machine.sleepBegan("cancelled", cancelled, until: .distantFuture) else {
            Issue.record("the ticket was withdrawn")
            return
        }
        #expect(bench.machine.sleeperCount == 0)
        let ticket = bench.addSleeper("asleep", until: 10)
        #expect(bench.machine.sleepCancelled(ticket) == "asleep")
        #expect(bench.machine.sleeperCount == 0)
    }

    @Test("When nothing can happen, the body is cancelled, and given up if it still cannot end")
    func stuck() {
        var bench = Bench()
        bench.addSleeper("for ever", until: .max)
        #expect(bench.next() == "wait briefly")
        bench.machine.patienceEnded()
        #expect(bench.next() == "cancel body: nothingCanRun")
        #expect(bench.machine.phase == .failing)
        bench.ready("clean-up")
        #expect(bench.next() == "run clean-up")
        #expect(bench.next() == "wait briefly")
        bench.machine.patienceEnded()
        #expect(bench.next() == "cancel for ever")
        #expect(bench.machine.phase == .closing)
        #expect(bench.next() == "end")
        #expect(bench.machine.phase == .ended)
    }

    @Test("What another thread does ends the short wait")
    func patience() {
        var bench = Bench()
        #expect(bench.next() == "wait briefly")
        bench.machine.patienceEnded()
        bench.ready("a")
        #expect(bench.next() == "run a")
        #expect(bench.next() == "wait briefly")
        bench.machine.patienceEnded()
        bench.addSleeper("sleeper", until: 3)
        #expect(bench.next() == "resume sleeper at 3")
        #expect(bench.next() == "wait briefly")
    }

    @Test("The clock does not pass the limit, but has some grace for the clean-up")
    func limit() {
        var bench = Bench { $0.grace = .nanoseconds(500) }
        bench.addSleeper("at the limit", until: 1000)
        bench.addSleeper("over", until: 1001)
        bench.addSleeper("clean-up", until: 1300)
        bench.addSleeper("too late", until: 2000)
        #expect(bench.next() == "resume at the limit at 1000")
        #expect(bench.next() == "cancel body: limitPassed")
        #expect(bench.next() == "resume over at 1001")
        #expect(bench.next() == "resume clean-up at 1300")
        #expect(bench.next() == "cancel too late")
        #expect(bench.next() == "end")
    }

    @Test("Jobs that run without end while the clock stands still end the run")
    func spinning() {
        var bench = Bench {
            $0.jobsPerInstant = 3
            $0.closingJobs = 2
        }
        for _ in 0..<20 { bench.ready("spin") }
        let steps = (0..<10).map { _ in bench.next() }
        let three = Array(repeating: "run spin", count: 3)
        #expect(Array(steps.prefix(4)) == three + ["cancel body: spinning"])
        #expect(Array(steps.dropFirst(4).prefix(5)) == three + ["run spin", "run spin"])
        #expect(steps.last == "end with \(Array(repeating: "spin", count: 12).joined(separator: " "))")
    }

    @Test("The count of jobs at one instant begins again when the clock moves")
    func spinningIsPerInstant() {
        var bench = Bench { $0.jobsPerInstant = 2 }
        for time in 1...5 {
            bench.ready("a", "b")
            bench.addSleeper("sleeper", until: Int64(time))
            #expect(bench.next() == "run a")
            #expect(bench.next() == "run b")
            #expect(bench.next() == "resume sleeper at \(time)")
        }
    }

    @Test("After the body, sleepers are cancelled, ready jobs run, and later jobs run elsewhere")
    func closing() {
        var bench = Bench()
        bench.addSleeper("a", until: 10)
        bench.addSleeper("b", until: .max)
        _ = bench.machine.settlingBegan("c")
        bench.ready("d")
        bench.machine.bodyEnded()
        #expect(bench.next() == "cancel c a b")
        #expect(bench.next() == "run d")
        let ticket = bench.machine.reserveSleep()
        guard case .real = bench.machine.sleepBegan("e", ticket, until: .distantFuture) else {
            Issue.record("a sleep after the end must be real")
            return
        }
        #expect(bench.machine.settlingBegan("f") == false)
        #expect(bench.next() == "end")
        guard case .elsewhere = bench.machine.jobBecameReady("g") else {
            Issue.record("a job after the end must run elsewhere")
            return
        }
        #expect(bench.next() == "end")
        #expect(bench.machine.now == MonotonicInstant(nanoseconds: 0))
    }

    @Test("The phases go where the table in the machine's documentation says")
    func phases() {
        #expect(Machine.Phase.allCases.map(\.rawValue) == ["running", "failing", "closing", "ended"])
        var failed = Bench()
        failed.machine.patienceEnded()
        _ = failed.next()
        #expect(failed.machine.phase == .failing)
        failed.machine.bodyEnded()
        #expect(failed.machine.phase == .closing)
        _ = failed.next()
        #expect(failed.machine.phase == .ended)
        failed.machine.bodyEnded()
        #expect(failed.machine.phase == .ended)
        var passed = Bench()
        passed.machine.bodyEnded()
        #expect(passed.machine.phase == .closing)
    }

    @Test("A random walk of 100,000 steps: the clock never goes back, nothing is lost, and nothing wakes early")
    func randomWalk() {
        var random = SeededRandom.fromEnvironment()
        var bench = Bench { $0.end = .distantFuture }
        var ready: [String] = []
        var asleep: [String: Int64] = [:]
        var tickets: [String: Machine.Ticket] = [:]
        var last: Int64 = 0
        for step in 0..<100_000 {
            let now = bench.machine.now.nanoseconds
            #expect(now >= last)
            last = now
            switch random.next(in: 0..<6) {
            case 0, 1:
                bench.ready("\(step)")
                ready.append("\(step)")
            case 2:
                let deadline = now + Int64(random.next(in: 1..<100))
                tickets["\(step)"] = bench.addSleeper("\(step)", until: deadline)
                asleep["\(step)"] = deadline
            case 3:
                guard let name = asleep.keys.sorted().randomElement(using: &random), let ticket = tickets[name] else {
                    continue
                }
                #expect(bench.machine.sleepCancelled(ticket) == name)
                asleep[name] = nil
            default:
                switch bench.machine.next(random: &bench.random) {
                case .run(let job):
                    #expect(job == ready.first)
                    ready.removeFirst()
                case .resume(let sleepers):
                    #expect(ready.isEmpty)
                    let time = bench.machine.now.nanoseconds
                    #expect(asleep.values.min() == time)
                    #expect(sleepers.allSatisfy { asleep[$0] == time })
                    #expect(sleepers.count == asleep.values.count { $0 == time })
                    for name in sleepers { asleep[name] = nil }
                case .waitBriefly: #expect(ready.isEmpty && asleep.isEmpty)
                default: Issue.record("an unexpected step")
                }
            }
            #expect(bench.machine.sleeperCount == asleep.count)
        }
    }
}
