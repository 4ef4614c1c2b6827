import BowlineCore
import Testing

@testable import BowlineTesting

@Suite("Machine of the simulated service")
struct SimulatedServiceMachineTests {
    private typealias Bench = SimulatedServiceBench

    // MARK: Queue and workers

    @Test("Two workers, work of 10 ms, latency of 1 ms: each answer comes when a sheet of paper says", .tags(.VT5))
    func schedule() {
        var bench = Bench {
            $0.workers = 2
            $0.workTime = .constant(.milliseconds(10))
            $0.latency = .constant(.milliseconds(1))
        }
        let ids = (0..<5).map { millisecond in
            bench.run(until: millisecond)
            return bench.send()
        }
        #expect(bench.machine.stage(of: ids[0]) == .working)
        #expect(bench.machine.stage(of: ids[3]) == .queued)
        #expect(bench.machine.stage(of: ids[4]) == .travelling)
        bench.run(until: 100)
        #expect(
            ids.map { bench.end(of: $0) } == [
                "12.0 ms 200", "13.0 ms 200", "22.0 ms 200", "23.0 ms 200", "32.0 ms 200",
            ])
        #expect(bench.machine.requestCount == 0)
        #expect(bench.machine.busy(0) == 0)
    }

    @Test("Twice the capacity for a second: the queue grows by the difference, and drains afterwards", .tags(.VT5))
    func overload() {
        var bench = Bench {
            $0.workers = 1
            $0.workTime = .constant(.milliseconds(10))
        }
        for request in 0..<200 {
            bench.run(until: request * 5)
            bench.send()
        }
        bench.run(until: 999)
        // 100 have begun (at 0, 10, … 990 ms), so 100 wait.
        #expect(bench.machine.waiting(0) == 100)
        bench.run(until: 2500)
        let now = bench.now
        let ticks = bench.machine.ticks(of: 0, now: now)
        #expect(ticks.prefix(10).map(\.offered) == Array(repeating: 20, count: 10))
        #expect(ticks.prefix(10).map(\.queued) == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
        // The first tick ends before its tenth request has ended.
        #expect(ticks.prefix(20).map(\.good) == [9] + Array(repeating: 10, count: 19))
        #expect(ticks.prefix(20).allSatisfy { $0.load == 1 })
        #expect(ticks[20].good == 1)
        #expect(ticks[20].load == 0)
        #expect(ticks.map(\.longestQueue).max() == 100)
    }

    @Test("One worker with random arrivals and work is the textbook queue M/M/1", .tags(.VT5))
    func textbook() {
        // Capacity 100/s, arrivals 70/s: the time in the system is 1 / (100 − 70) s on average.
        var bench = Bench(seed: 5) {
            $0.workers = 1
            $0.workTime = .exponential(mean: .milliseconds(10))
        }
        let gaps = SimulatedDuration.exponential(mean: .seconds(1) / 70)
        var random = SeededRandom(seed: 6)
        var begins: [Int: MonotonicInstant] = [:]
        let count = 60_000
        for _ in 0..<count {
            bench.run(until: bench.now.advanced(by: gaps.draw(using: &random)))
            begins[bench.send()] = bench.now
        }
        let last = bench.now
        bench.run(until: .distantFuture.advanced(by: .seconds(-1)))
        let times = begins.map { id, begin in
            bench.ends[id].map { begin.duration(to: $0.instant) / .milliseconds(1) } ?? .infinity
        }
        #expect(times.count == count)
        let mean = times.reduce(0, +) / Double(count)
        #expect(abs(mean - 33.3) < 2)
        // The share of requests that take longer than t is e^(−30/s × t): half of them take longer than 23.1 ms.
        let median = times.sorted()[count / 2]
        #expect(abs(median - 23.1) < 1.5)
        var work = SimulatedTick(start: .zero, length: .zero)
        let end = Duration.nanoseconds(last.nanoseconds)
        for tick in bench.machine.ticks(of: 0, now: last) where tick.start < end { work.add(tick) }
        #expect(abs(work.load - 0.7) < 0.02)
    }

    @Test("A full queue answers at once with the overload answer, and the queue's length stays bounded", .tags(.VT5))
    func queueLimit() {
        var bench = Bench {
            $0.workers = 1
            $0.queueLimit = 2
            $0.overloadAnswer = SimulatedAnswer(.tooManyRequests)
        }
        let ids = (0..<5).map { _ in bench.send() }
        bench.run(until: 100)
        #expect(
            ids.map { bench.end(of: $0) } == [
                "10.0 ms 200", "20.0 ms 200", "30.0 ms 200", "0.0 ms 429", "0.0 ms 429",
            ])
        let now = bench.now
        #expect(bench.machine.ticks(of: 0, now: now).map(\.rejected).reduce(0, +) == 2)
    }

    @Test("Without a queue, a request with a free worker is still admitted")
    func noQueue() {
        var bench = Bench {
            $0.workers = 1
            $0.queueLimit = 0
        }
        let ids = (0..<2).map { _ in bench.send() }
        bench.run(until: 100)
        #expect(ids.map { bench.end(of: $0) } == ["10.0 ms 200", "0.0 ms 503"])
    }

    // MARK: Callers that give up

    @Test("An abandoned request still uses the queue and the worker")
    func abandoned() {
        var bench = Bench { $0.workers = 1 }
        let first = bench.send()
        let second = bench.send()
        let third = bench.send()
        bench.run(until: 1)
        bench.giveUp(first)
        bench.giveUp(second)
        bench.run(until: 100)
        #expect(bench.end(of: first) == nil)
        #expect(bench.end(of: second) == nil)
        #expect(bench.end(of: third) == "30.0 ms 200")
        let now = bench.now
        let tick = bench.machine.ticks(of: 0, now: now)[0]
        #expect(tick.processed == 3)
        #expect(tick.good == 1)
        #expect(tick.gaveUp == 2)
        #expect(bench.machine.requestCount == 0)
    }

    @Test("If the replica notices, an abandoned request leaves the queue and the worker at once")
    func abandonedAndNoticed() {
        var bench = Bench {
            $0.workers = 1
            $0.finishesAbandonedRequests = false
        }
        let first = bench.send()
        let second = bench.send()
        let third = bench.send()
        bench.run(until: 1)
        bench.giveUp(second)
        #expect(bench.machine.waiting(0) == 1)
        bench.giveUp(first)
        #expect(bench.machine.stage(of: third) == .working)
        bench.run(until: 100)
        #expect(bench.end(of: third) == "11.0 ms 200")
        let now = bench.now
        #expect(bench.machine.ticks(of: 0, now: now)[0].processed == 1)
        #expect(bench.machine.busy(0) == 0)
    }

    @Test("An answer that is on its way when the caller gives up is not good")
    func lateAnswer() {
        var bench = Bench { $0.latency = .constant(.milliseconds(5)) }
        let id = bench.send()
        bench.run(until: 17)
        bench.giveUp(id)
        bench.giveUp(id)
        bench.run(until: 100)
        #expect(bench.end(of: id) == nil)
        let now = bench.now
        let tick = bench.machine.ticks(of: 0, now: now)[0]
        #expect(tick.processed == 1)
        #expect(tick.good == 0)
        #expect(tick.gaveUp == 1)
    }

    // MARK: Faults

    @Test("A replica that is down refuses, drops what it had, and begins afresh", .tags(.VT5))
    func refused() {
        var bench = Bench {
            $0.workers = 1
            $0.latency = .constant(.milliseconds(1))
        }
        bench.schedule(.refused, from: 5, until: 20)
        let working = bench.send()
        let queued = bench.send()
        bench.run(until: 6)
        let refused = bench.send()
        bench.run(until: 19)
        let atTheEnd = bench.send()
        bench.run(until: 100)
        #expect(bench.end(of: working) == "6.0 ms dropped")
        #expect(bench.end(of: queued) == "6.0 ms dropped")
        #expect(bench.end(of: refused) == "8.0 ms refused")
        // Arrives at 20 ms, when the fault has ended.
        #expect(bench.end(of: atTheEnd) == "31.0 ms 200")
        let now = bench.now
        let tick = bench.machine.ticks(of: 0, now: now)[0]
        #expect(tick.refused == 1)
        #expect(tick.failed == 2)
        #expect(tick.processed == 1)
        #expect(tick.available == .milliseconds(85))
    }

    @Test("A silent replica loses requests and answers, and only the caller's own limit ends the wait", .tags(.VT5))
    func silent() {
        var bench = Bench()
        bench.schedule(.silent, from: 5, until: 20)
        let answerIsLost = bench.send()
        bench.run(until: 8)
        let isLost = bench.send()
        bench.run(until: 15)
        bench.run(until: 25)
        let after = bench.send()
        bench.run(until: 1000)
        #expect(bench.end(of: answerIsLost) == nil)
        #expect(bench.end(of: isLost) == nil)
        #expect(bench.end(of: after) == "35.0 ms 200")
        #expect(bench.machine.requestCount == 2)
        bench.giveUp(answerIsLost)
        bench.giveUp(isLost)
        #expect(bench.machine.requestCount == 0)
        let now = bench.now
        #expect(bench.machine.ticks(of: 0, now: now)[0].processed == 2)
    }

    @Test("A failing replica answers at once, with its fields, without a worker", .tags(.VT5))
    func failing() {
        var bench = Bench()
        bench.schedule(.failing(SimulatedAnswer(.badGateway)), from: 0, until: 10)
        let id = bench.send()
        #expect(bench.end(of: id) == "0.0 ms 502")
        #expect(bench.machine.busy(0) == 0)
        bench.run(until: 10)
        let after = bench.send()
        bench.run(until: 100)
        #expect(bench.end(of: after) == "20.0 ms 200")
    }

    @Test("A share of the requests fails, about as many as the share says")
    func share() {
        var bench = Bench { $0.workers = 2000 }
        bench.schedule(.failing(share: 0.3), from: 0)
        let ids = (0..<2000).map { _ in bench.send() }
        let failed = ids.count { bench.end(of: $0) == "0.0 ms 503" }
        #expect((500...700).contains(failed))
    }

    @Test("A dropped connection: before the work nothing is executed, after it the request was executed")
    func dropping() {
        var before = Bench()
        before.schedule(.dropping(.beforeWork), from: 0)
        let first = before.send(identity: "a")
        before.run(until: 100)
        #expect(before.end(of: first) == "0.0 ms dropped")
        #expect(before.machine.executionCounts == [:])
        var after = Bench()
        after.schedule(.dropping(.afterWork), from: 0)
        let second = after.send(identity: "a")
        after.run(until: 50)
        let third = after.send(identity: "a")
        after.run(until: 100)
        #expect(after.end(of: second) == "10.0 ms dropped")
        #expect(after.end(of: third) == "60.0 ms dropped")
        #expect(after.machine.executionCounts == ["a": 2])
    }

    @Test("A slow replica, a brown-out, and a change of the options", .tags(.VT5))
    func slow() {
        var bench = Bench(replicas: 2) { $0.workers = 2 }
        bench.schedule(.slow(by: 10), from: 0, until: 1000, replicas: [1])
        bench.schedule(.workers(1), from: 0, until: 15, replicas: [0])
        let healthy = (0..<3).map { _ in bench.send(to: 0) }
        let slow = bench.send(to: 1)
        bench.run(until: 1000)
        // One worker until 15 ms, then two.
        #expect(healthy.map { bench.end(of: $0) } == ["10.0 ms 200", "20.0 ms 200", "25.0 ms 200"])
        #expect(bench.end(of: slow) == "100.0 ms 200")
        bench.change(1) { $0.workTime = .constant(.milliseconds(1)) }
        let changed = bench.send(to: 1)
        bench.run(until: 2000)
        #expect(bench.end(of: changed) == "1001.0 ms 200")
    }

    @Test("More workers take requests from the queue at once")
    func moreWorkers() {
        var bench = Bench { $0.workers = 0 }
        let ids = (0..<3).map { _ in bench.send() }
        bench.run(until: 50)
        #expect(ids.allSatisfy { bench.machine.stage(of: $0) == .queued })
        bench.change { $0.workers = 2 }
        bench.run(until: 100)
        #expect(ids.map { bench.end(of: $0) } == ["60.0 ms 200", "60.0 ms 200", "70.0 ms 200"])
    }

    // MARK: Quota and respond

    @Test("A quota admits its burst, then its rate, and says when to come back")
    func quota() {
        var bench = Bench { $0.workTime = .constant(.zero) }
        let now = bench.now
        bench.machine.setQuota(SimulatedQuota(perSecond: 2, burst: 3), now: now)
        let ids = (0..<5).map { _ in bench.send() }
        bench.run(until: 500)
        let later = (0..<2).map { _ in bench.send() }
        bench.run(until: 600)
        #expect(
            ids.map { bench.end(of: $0) } == [
                "0.0 ms 200", "0.0 ms 200", "0.0 ms 200", "0.0 ms 429", "0.0 ms 429",
            ])
        #expect(later.map { bench.end(of: $0) } == ["500.0 ms 200", "500.0 ms 429"])
    }

    @Test("The largest burst of a quota does not trap")
    func largestBurst() {
        for perSecond in [1, Double.infinity] {
            var bench = Bench { $0.workTime = .constant(.zero) }
            let now = bench.now
            bench.machine.setQuota(SimulatedQuota(perSecond: perSecond, burst: .max), now: now)
            let id = bench.send()
            bench.run(until: 10)
            #expect(bench.end(of: id) == "0.0 ms 200")
        }
    }

    @Test("A response of the replica's own keeps the worker until it is made, and counts once")
    func respond() {
        var bench = Bench {
            $0.workers = 1
            $0.respond = { _ in SimulatedAnswer(.created) }
        }
        let first = bench.send()
        let second = bench.send()
        bench.run(until: 50)
        #expect(bench.machine.stage(of: first) == .responding)
        #expect(Array(bench.responding.keys) == [first])
        #expect(bench.machine.stage(of: second) == .queued)
        bench.respond(first, SimulatedAnswer(.created))
        bench.run(until: 100)
        #expect(bench.end(of: first) == "50.0 ms 201")
        #expect(bench.machine.stage(of: second) == .responding)
        bench.schedule(.refused, from: 100, until: 110)
        bench.run(until: 105)
        #expect(bench.cancelledResponses == [second])
        #expect(bench.end(of: second) == "100.0 ms dropped")
        #expect(bench.machine.busy(0) == 0)
    }

    // MARK: Walks

    @Test("The stages of the table are all reached")
    func stages() {
        #expect(
            SimulatedServiceMachine.Stage.allCases.map(\.rawValue) == [
                "travelling", "queued", "working", "responding", "ended",
            ])
        var bench = Bench { $0.latency = .constant(.milliseconds(1)) }
        let id = bench.send()
        #expect(bench.machine.stage(of: id) == .travelling)
        bench.run(until: 11)
        #expect(bench.machine.stage(of: id) == .ended)
        bench.run(until: 12)
        #expect(bench.machine.stage(of: id) == nil)
    }

    @Test("A random walk of 100,000 steps: each request ends once, and busy workers and queues agree with the requests")
    func randomWalk() {
        var random = SeededRandom.fromEnvironment()
        var bench = Bench(replicas: 3, seed: random.next()) {
            $0.workers = 3
            $0.queueLimit = 20
            $0.workTime = .exponential(mean: .milliseconds(10))
            $0.latency = .uniform(.zero ... .milliseconds(2))
        }
        var open: Set<Int> = []
        var given: Set<Int> = []
        for step in 0..<100_000 {
            switch random.next(in: 0..<20) {
            case 0..<8: open.insert(bench.send(to: random.next(in: 0..<3), identity: "\(random.next(in: 0..<50))"))
            case 8:
                guard let id = open.sorted().randomElement(using: &random) else { continue }
                open.remove(id)
                given.insert(id)
                bench.giveUp(id)
            case 9 where step % 10 == 0:
                let from = Int(bench.now.nanoseconds / 1_000_000)
                let faults: [SimulatedFault] = [
                    .refused, .silent, .failing(share: 0.5), .slow(by: 3), .dropping(share: 0.5, .beforeWork),
                    .dropping(share: 0.5, .afterWork), .workers(1),
                ]
                bench.schedule(
                    faults[random.next(in: 0..<faults.count)], from: from, until: from + random.next(in: 1..<200),
                    replicas: [random.next(in: 0..<3)])
            case 10 where step % 10 == 0:
                let finishes = random.nextBool()
                bench.change(random.next(in: 0..<3)) { $0.finishesAbandonedRequests = finishes }
            default: bench.run(until: bench.now.advanced(by: .microseconds(random.next(in: 0..<4000))))
            }
            let ended = open.filter { bench.ends[$0] != nil }
            open.subtract(ended)
            for replica in 0..<3 where step % 50 == 0 {
                let working = bench.machine.count(.working, at: replica)
                let responding = bench.machine.count(.responding, at: replica)
                #expect(bench.machine.busy(replica) == working + responding)
                #expect(bench.machine.waiting(replica) == bench.machine.count(.queued, at: replica))
                #expect(bench.machine.busy(replica) <= 3)
                #expect(bench.machine.waiting(replica) <= 20)
            }
        }
        // Lost requests wait until their callers give up. Then nothing is left.
        bench.run(until: bench.now.advanced(by: .seconds(60)))
        for id in open.sorted() where bench.ends[id] == nil { bench.giveUp(id) }
        bench.run(until: bench.now.advanced(by: .seconds(60)))
        #expect(bench.machine.requestCount == 0)
        #expect(given.allSatisfy { bench.ends[$0] == nil })
        for replica in 0..<3 {
            #expect(bench.machine.busy(replica) == 0)
            #expect(bench.machine.waiting(replica) == 0)
        }
        var total = SimulatedTick(start: .zero, length: .zero)
        let now = bench.now
        for replica in 0..<3 {
            for tick in bench.machine.ticks(of: replica, now: now) { total.add(tick) }
        }
        #expect(total.good == bench.ends.values.count { $0.outcome == "200" })
        #expect(total.refused >= bench.ends.values.count { $0.outcome == "refused" })
        #expect(total.processed <= total.offered)
        #expect(bench.machine.executionCounts.values.reduce(0, +) <= total.processed)
    }
}
