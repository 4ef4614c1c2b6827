import Testing

@testable import FleetLimit

@Suite("The sums of the fleet")
struct FleetSumTests {
    /// Four processes with 25 attempts per tick. The store is away in second 5.
    private func reports() -> [WorkerReport] {
        let report = {
            var report = WorkerReport()
            let ticks = report.attempts.indices
            report.attempts = ticks.map { _ in 25 }
            report.questions = ticks.map { $0 + 1 }
            report.isStoreAway = ticks.map { $0 / Schedule.ticksPerSecond == 5 }
            return report
        }()
        return [report, report, report, report]
    }

    @Test("A fleet that keeps its quota")
    func kept() {
        let sum = FleetSum(reports())
        for phase in Schedule.phases { #expect(sum.share(of: phase.seconds) == 1) }
        #expect(sum.questionsPerHundred == 4)
        #expect((sum.processesAway(in: 4), sum.processesAway(in: 5), sum.processesAway(in: 6)) == (0, 4, 0))
        #expect(
            sum.row(4).split(separator: " ") == ["4", "1000", "100.0", "%", "0", "4", "the", "store", "is", "killed"])
    }

    @Test("Attempts of one process in one tick are counted in their second only")
    func exceeded() {
        var reports = reports()
        reports[2].attempts[39] += 100
        let sum = FleetSum(reports)
        #expect(sum.share(of: 3..<4) == 1.1)
        #expect(sum.share(of: 4..<9) == 1)
        #expect(sum.share(of: 1..<11) == 1.01)
    }
}
