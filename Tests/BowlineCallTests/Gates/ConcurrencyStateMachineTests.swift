import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("The concurrency limit")
struct ConcurrencyStateMachineTests {
    typealias Ticket = ConcurrencyStateMachine.Ticket
    typealias Decision = ConcurrencyEntry.Decision

    // MARK: Order

    @Test("Attempts above the limit wait, and go in the order in which they came", .tags(.CO1))
    func order() {
        let gate = DrivenLimit(.fixed(2))
        #expect(gate.enter(1) == .admitted)
        #expect(gate.enter(2) == .admitted)
        for ticket in 3...5 as ClosedRange<Ticket> {
            #expect(gate.enter(ticket) == .waits(until: gate.now.advanced(by: .seconds(1)), thenRefused: .waitTooLong))
        }
        #expect((gate.machine.inFlight, gate.machine.waiting) == (2, 3))
        #expect(gate.left() == ConcurrencyRelease(admitted: [3]))
        #expect(gate.waitEnded(4))
        #expect(gate.left() == ConcurrencyRelease(admitted: [5]))
        #expect(gate.left() == ConcurrencyRelease())
        #expect(gate.left() == ConcurrencyRelease())
        #expect((gate.machine.inFlight, gate.machine.waiting) == (0, 0))
    }

    @Test("A higher priority goes first, and equal ones in order", .tags(.CO2))
    func priorities() {
        let gate = DrivenLimit(.fixed(1))
        #expect(gate.enter(0) == .admitted)
        let priorities: [RequestPriority] = [.sheddable, .normal, .critical, .normal, .critical, .sheddable]
        for (index, priority) in priorities.enumerated() { _ = gate.enter(Ticket(index + 1), priority) }
        var order: [Ticket] = []
        for _ in priorities { order += gate.left().admitted }
        #expect(order == [3, 5, 2, 4, 1, 6])
    }

    @Test("A new attempt does not overtake one that waits, even if the limit was raised", .tags(.CO1))
    func noOvertaking() {
        let gate = DrivenLimit(.fixed(1))
        _ = gate.enter(1)
        _ = gate.enter(2)
        gate.options.limit = .fixed(10)
        #expect(gate.enter(3) == .waits(until: gate.now.advanced(by: .seconds(1)), thenRefused: .waitTooLong))
        #expect(gate.machine.limit == 10)
        #expect(gate.left() == ConcurrencyRelease(admitted: [2, 3]))
    }

    @Test("A lowered limit admits none until enough attempts have ended", .tags(.CO1))
    func loweredLimit() {
        let gate = DrivenLimit(.fixed(3))
        for ticket in 1...3 as ClosedRange<Ticket> { _ = gate.enter(ticket) }
        gate.options.limit = .fixed(1)
        _ = gate.enter(4)
        #expect(gate.left() == ConcurrencyRelease())
        #expect(gate.left() == ConcurrencyRelease())
        #expect(gate.left() == ConcurrencyRelease(admitted: [4]))
    }

    // MARK: A full queue

    @Test("Sheddable attempts are refused when half of the queue is in use, others when all of it is", .tags(.CO2))
    func halfFull() {
        let gate = DrivenLimit(.fixed(1))
        gate.options.maximumWaiting = 5
        _ = gate.enter(0)
        for ticket in 1...3 as ClosedRange<Ticket> { _ = gate.enter(ticket) }
        #expect(gate.enter(10, .sheddable) == .refused(.shed, retryAfter: nil))
        for ticket in 4...5 as ClosedRange<Ticket> {
            #expect(gate.enter(ticket) == .waits(until: gate.now.advanced(by: .seconds(1)), thenRefused: .waitTooLong))
        }
        #expect(gate.enter(6) == .refused(.queueFull, retryAfter: nil))
        #expect(gate.machine.waiting == 5)
    }

    @Test("An attempt takes the place of the newest attempt with the lowest priority below its own", .tags(.CO2))
    func displacement() {
        let gate = DrivenLimit(.fixed(1))
        gate.options.maximumWaiting = 4
        _ = gate.enter(0)
        for (ticket, priority) in [(1, RequestPriority.sheddable), (2, .sheddable), (3, .normal), (4, .normal)] {
            _ = gate.enter(Ticket(ticket), priority)
        }
        #expect(gate.entry(5, .critical).displaced == 2)
        #expect(gate.entry(6, .normal).displaced == 1)
        #expect(gate.entry(7, .normal) == ConcurrencyEntry(decision: .refused(.queueFull, retryAfter: nil)))
        #expect(gate.entry(8, .critical).displaced == 6)
        #expect(!gate.waitEnded(6))
        var order: [Ticket] = []
        for _ in 0..<4 { order += gate.left().admitted }
        #expect(order == [5, 8, 3, 4])
    }

    @Test("A queue of no places refuses at once, and so does a wait of no time", .tags(.CO2))
    func noQueue() {
        let gate = DrivenLimit(.fixed(1))
        _ = gate.enter(1)
        gate.options.maximumWaiting = 0
        for priority in RequestPriority.allCases {
            #expect(gate.enter(2, priority) == .refused(.queueFull, retryAfter: nil))
        }
        gate.options.maximumWaiting = 10
        gate.options.maximumWait = .zero
        #expect(gate.enter(2) == .refused(.waitTooLong, retryAfter: nil))
    }

    // MARK: Time

    @Test("An attempt is not admitted when its wait is over, even if its timer is late", .tags(.CO3))
    func expired() {
        let gate = DrivenLimit(.fixed(1))
        _ = gate.enter(1)
        _ = gate.enter(2)
        gate.advance(by: .milliseconds(400))
        _ = gate.enter(3)
        gate.advance(by: .milliseconds(600))
        #expect(gate.left() == ConcurrencyRelease(admitted: [3], expired: [2]))
        #expect(!gate.waitEnded(2))
    }

    @Test("A deadline ends the wait before it, by the time that attempts usually take", .tags(.GA3, .CO3))
    func deadline() {
        let gate = DrivenLimit(.fixed(1))
        _ = gate.enter(1)
        let deadline = gate.now.advanced(by: .milliseconds(500))
        #expect(gate.enter(2, deadline: deadline) == .waits(until: deadline, thenRefused: .deadline))
        // All attempts take 100 ms. So the deviation is zero.
        #expect(gate.left(.success(latency: .milliseconds(100))).admitted == [2])
        #expect(
            gate.enter(3, deadline: deadline)
                == .waits(until: deadline.advanced(by: .milliseconds(-100)), thenRefused: .deadline))
        #expect(
            gate.enter(4, deadline: gate.now.advanced(by: .milliseconds(100))) == .refused(.deadline, retryAfter: nil))
        #expect(gate.enter(5, deadline: .distantFuture) != .refused(.deadline, retryAfter: nil))
    }

    @Test("A deadline does not keep an attempt from going at once")
    func deadlineWithoutWait() {
        let gate = DrivenLimit(.fixed(1))
        #expect(gate.enter(1, deadline: gate.now) == .admitted)
    }

    @Test(
        "An attempt that cannot be admitted in time at twice the rate of the queue is refused at once",
        .tags(.GA3, .CO3))
    func hopeless() {
        let gate = DrivenLimit(.fixed(1))
        _ = gate.enter(0)
        for ticket in 1...100 as ClosedRange<Ticket> { _ = gate.enter(ticket) }
        // 10 ms each. The rate is not known yet.
        let deadline = gate.now.advanced(by: .milliseconds(1))
        #expect(gate.enter(200, deadline: deadline) == .waits(until: deadline, thenRefused: .deadline))
        #expect(gate.waitEnded(200))
        for _ in 0..<17 {
            gate.advance(by: .milliseconds(10))
            #expect(gate.left().admitted.count == 1)
        }
        // 83 wait. 84 × 10 ms are more than twice 410 ms, and not more than twice 420 ms.
        func after(_ milliseconds: Int) -> MonotonicInstant { gate.now.advanced(by: .milliseconds(milliseconds)) }
        #expect(gate.enter(201, deadline: after(410)) == .refused(.deadline, retryAfter: .milliseconds(830)))
        #expect(gate.enter(202, deadline: after(420)) == .waits(until: after(420), thenRefused: .deadline))
        // A critical attempt is the next.
        #expect(gate.enter(203, .critical, deadline: after(6)) == .waits(until: after(6), thenRefused: .deadline))
        gate.options.maximumWait = .milliseconds(400)
        #expect(gate.enter(204) == .refused(.waitTooLong, retryAfter: .milliseconds(850)))
    }

    @Test("The rate of the queue is measured anew after the queue was empty", .tags(.CO3))
    func drainForgets() {
        let gate = DrivenLimit(.fixed(1))
        _ = gate.enter(0)
        for ticket in 1...20 as ClosedRange<Ticket> { _ = gate.enter(ticket) }
        for _ in 0..<20 {
            gate.advance(by: .milliseconds(40))
            _ = gate.left()
        }
        #expect(gate.machine.waiting == 0)
        #expect(gate.machine.inFlight == 1)
        let deadline = gate.now.advanced(by: .milliseconds(1))
        #expect(gate.enter(30, deadline: deadline) == .waits(until: deadline, thenRefused: .deadline))
    }

    // MARK: Tables

    @Test("A ticket's states are those of the table")
    func ticketTable() throws {
        let made = Set(TicketInput.allCases.flatMap { DrivenLimit.made($0) })
        let documented = try DocumentedTransition.rows(of: "ConcurrencyStateMachine.swift")
        #expect(made.subtracting(documented) == [])
        #expect(documented.subtracting(made) == [])
    }

    @Test("The gate does with each priority what the table says", .tags(.CO2))
    func gateTable() throws {
        var made: Set<[String]> = []
        for occupancy in Occupancy.allCases {
            for priority in RequestPriority.allCases {
                made.insert(["\(occupancy)", "\(priority)", DrivenLimit.result(at: occupancy, priority)])
            }
        }
        var documented: Set<[String]> = []
        for cells in try DocumentedTransition.cells(of: "ConcurrencyStateMachine.swift") where cells.count == 3 {
            for priority in cells[1].split(separator: ", ") { documented.insert([cells[0], "\(priority)", cells[2]]) }
        }
        #expect(made.subtracting(documented) == [])
        #expect(documented.subtracting(made) == [])
    }

    // MARK: A walk, extremes

    @Test("For 100,000 random steps the gate does what the model does, and every ticket ends once", .tags(.CO1))
    func walk() throws {
        var random = SeededRandom.fromEnvironment()
        let walks = RandomWalks.usually(200, steps: 500)
        for round in 0..<walks.count {
            let walk = LimitWalk(&random)
            for step in 0..<walks.steps {
                let difference = walk.step(&random)
                try #require(difference == nil, "round \(round), step \(step): \(difference ?? "")")
            }
            let rest = walk.finish(&random)
            try #require(rest == nil, "round \(round): \(rest ?? "")")
        }
    }

    @Test("Extreme options, times and latencies do not trap", .tags(.BI4))
    func extremes() {
        let durations: [Duration] = [.seconds(Int64.max), .seconds(Int64.min), .zero, .nanoseconds(1), .seconds(1)]
        let instants = [Int64.min, -1, 0, Int64.max - 1, .max].map(MonotonicInstant.init(nanoseconds:))
        let limits: [ConcurrencyOptions.Limit] = [
            .fixed(.max), .fixed(.min), .fixed(1), .adaptive(),
            .adaptive(initial: .max, minimum: .max, maximum: .min),
            .adaptive(initial: .min, minimum: .min, maximum: .max),
            .adaptive(initial: 5, minimum: 10, maximum: 2),
        ]
        for limit in limits {
            for duration in durations {
                for count in [Int.min, 0, 1, 3, .max] {
                    let gate = DrivenLimit(limit)
                    gate.options.maximumWait = duration
                    gate.options.maximumWaiting = count
                    var ticket: Ticket = 0
                    for instant in instants + instants.reversed() {
                        gate.now = instant
                        for deadline in instants + [nil] {
                            for priority in RequestPriority.allCases {
                                ticket += 1
                                if case .admitted = gate.enter(ticket, priority, deadline: deadline) {
                                    _ = gate.left(.success(latency: duration))
                                }
                            }
                        }
                        for sample in [
                            ConcurrencySample.success(latency: duration), .overload(latency: duration),
                            .timedOut(latency: duration), .ignored,
                        ] where gate.machine.inFlight > 0 { _ = gate.left(sample) }
                        #expect(gate.machine.limit >= 1)
                    }
                    while gate.machine.inFlight > 0 { _ = gate.left(.timedOut(latency: duration)) }
                }
            }
        }
    }

    @Test("The adaptive limit stays within the bounds of the latest options", .tags(.CO5))
    func bounds() {
        let gate = DrivenLimit(.adaptive(initial: 20, minimum: 10, maximum: 40))
        gate.options.maximumWait = .zero
        var ticket: Ticket = 0
        /// As many attempts in flight as there can be; 1,000 of them end.
        func saturate(_ sample: ConcurrencySample) {
            for _ in 0..<1000 {
                while case .admitted = gate.enter(ticket) { ticket += 1 }
                gate.advance(by: .milliseconds(1))
                _ = gate.left(sample)
            }
        }
        saturate(.success(latency: .milliseconds(10)))
        #expect(gate.machine.limit == 40)
        saturate(.overload(latency: .milliseconds(10)))
        #expect(gate.machine.limit == 10)
        gate.options.limit = .adaptive(initial: 100, minimum: 100, maximum: 100)
        _ = gate.enter(1_000_000)
        #expect(gate.machine.limit == 100)
    }

    @Test("A queue of 100,000 attempts is emptied from the middle without a search")
    func longQueue() {
        let gate = DrivenLimit(.fixed(1))
        gate.options.maximumWaiting = 1_000_000
        _ = gate.enter(0)
        let count: Ticket = 100_000
        for ticket in 1...count { _ = gate.enter(ticket) }
        // From the middle outwards: a search from either end would take 2.5 × 10^9 steps.
        for offset in 0..<count / 2 {
            #expect(gate.waitEnded(count / 2 - offset))
            #expect(gate.waitEnded(count / 2 + 1 + offset))
        }
        #expect(gate.machine.waiting == 0)
        #expect(gate.left() == ConcurrencyRelease())
    }
}
