import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineCall

@Suite("Retry budget")
struct RetryBudgetTests {
    private func at(_ milliseconds: Int) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: Int64(milliseconds) * 1_000_000)
    }

    @Test("The budget is a share of the requests in the window plus a floor for each second", .tags(.RT17))
    func share() {
        let options = RetryBudgetOptions()
        var budget = RetryBudget(window: options.window)
        let atFirst = budget.left(at: at(0), options)
        #expect(atFirst == 100)
        for _ in 0..<1000 { budget.recordRequest(at: at(0)) }
        let withRequests = budget.left(at: at(0), options)
        #expect(withRequests == 300)
        var granted = 0
        for _ in 0..<1000 where budget.withdraw(at: at(10), options) { granted += 1 }
        #expect(granted == 300)
        let afterwards = budget.left(at: at(10), options)
        #expect(afterwards == 0)
    }

    @Test("Requests and retries that are older than the window do not count", .tags(.RT17))
    func window() {
        var options = RetryBudgetOptions()
        options.perSecond = 0
        var budget = RetryBudget(window: options.window)
        for _ in 0..<100 { budget.recordRequest(at: at(0)) }
        let granted = (0..<25).filter { _ in budget.withdraw(at: at(500), options) }.count
        #expect(granted == 20)
        let isGranted = budget.withdraw(at: at(9999), options)
        #expect(!isGranted)
        for _ in 0..<10 { budget.recordRequest(at: at(9999)) }
        // The first second has left the window with its requests and retries.
        let left = budget.left(at: at(10_000), options)
        #expect(left == 2)
        let later = budget.left(at: at(60_000), options)
        #expect(later == 0)
    }

    @Test(
        "Every request refills its origin's budget, also a request that succeeded after a retry, and no other origin's",
        .tags(.RT17))
    func refills() throws {
        var options = RetryBudgetOptions()
        options.perSecond = 0
        let budgets = RetryBudgets()
        let down = try ServiceURL("http://down.test").origin
        let other = try ServiceURL("http://other.test").origin
        for _ in 0..<5 { budgets.recordRequest(to: down, at: at(1), options) }
        #expect(budgets.withdraw(from: down, at: at(1), options).isGranted)
        #expect(!budgets.withdraw(from: down, at: at(1), options).isGranted)
        #expect(budgets.left(for: other, at: at(1), options) == 0)
        for _ in 0..<5 { budgets.recordRequest(to: down, at: at(2), options) }
        let refilled = budgets.withdraw(from: down, at: at(2), options)
        #expect(refilled.isGranted)
        #expect(refilled.left == 0)
    }

    @Test("Requests that are counted over another window have their own budget, and refill no other", .tags(.RT17))
    func windows() throws {
        var options = RetryBudgetOptions()
        options.ratio = 0
        options.perSecond = 1
        var other = options
        other.window = .seconds(20)
        let budgets = RetryBudgets()
        let origin = try ServiceURL("http://down.test").origin
        var granted = 0
        for _ in 0..<100 {
            if budgets.withdraw(from: origin, at: at(1), options).isGranted { granted += 1 }
            if budgets.withdraw(from: origin, at: at(1), other).isGranted { granted += 1 }
        }
        #expect(granted == 10 + 20)
    }

    @Test("A budget without bounds, which only middleware can set, acts as no limit and does not trap")
    func unbounded() {
        for (ratio, perSecond) in [(Double.infinity, 1), (.nan, 1), (0.2, Int.max)] {
            var options = RetryBudgetOptions()
            options.ratio = ratio
            options.perSecond = perSecond
            var budget = RetryBudget(window: options.window)
            budget.recordRequest(at: at(0))
            let isGranted = budget.withdraw(at: at(0), options)
            #expect(isGranted)
        }
        #expect(Duration.seconds(1e19).saturatingNanoseconds == .max)
        #expect(Duration.seconds(-1e19).saturatingNanoseconds == .min)
        #expect(Duration.seconds(9_223_372_035).saturatingNanoseconds == 9_223_372_035_000_000_000)
    }

    @Test("The number of counted origins is bounded: the least recently used quarter is evicted")
    func bounded() throws {
        let budgets = RetryBudgets()
        for index in 0..<(RetryBudgets.maximumOrigins + 50) {
            budgets.recordRequest(
                to: try ServiceURL("http://h\(index).test").origin, at: at(index), RetryBudgetOptions())
        }
        // One pass over all origins made room for the 50.
        #expect(budgets.count == RetryBudgets.maximumOrigins * 3 / 4 + 50)
    }

    @Test("a time that goes back counts as the latest; the count never exceeds what a plain list says (random walk)")
    func randomWalk() {
        var random = SeededRandom(seed: 20_261_122)
        var options = RetryBudgetOptions()
        options.perSecond = 1
        for _ in 0..<50 {
            var budget = RetryBudget(window: options.window)
            var retries: [Int] = []
            var requests: [Int] = []
            var now = 0
            for _ in 0..<400 {
                now += Int.random(in: 0...400, using: &random)
                if Bool.random(using: &random) {
                    budget.recordRequest(at: at(now))
                    requests.append(now)
                } else if budget.withdraw(at: at(now - Int.random(in: 0...50, using: &random)), options) {
                    retries.append(now)
                }
                // A slice is a second: the counted events are from the last 9 to 10 s.
                let inWindow = retries.filter { $0 > now - 9000 }.count
                let atMost = Double(requests.filter { $0 > now - 20_000 }.count) * options.ratio + 20
                #expect(Double(inWindow) <= atMost)
            }
        }
    }
}
