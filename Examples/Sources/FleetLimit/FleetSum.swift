import Foundation

/// The sums over all processes of the fleet.
struct FleetSum {
    private let reports: [WorkerReport]

    init(_ reports: [WorkerReport]) { self.reports = reports }

    /// A line of the table.
    func row(_ second: Int) -> String {
        let attempts = attempts(in: second..<second + 1)
        let questions = questions(in: second)
        let events = [Schedule.killed: "  the store is killed", Schedule.restarted: "  it is started again"]
        return String(
            format: "%6d  %8d  %11.1f %%  %28d  %26d", second, attempts, share(of: second..<second + 1) * 100,
            processesAway(in: second), attempts > 0 ? questions * 100 / attempts : 0)
            + (events[second] ?? "")
    }

    /// The attempts in these seconds, as a share of what the quota allows.
    func share(of seconds: Range<Int>) -> Double {
        Double(attempts(in: seconds)) / (Schedule.quota.perSecond * Double(seconds.count))
    }

    var questionsPerHundred: Int {
        let questions = reports.reduce(0) { $0 + ($1.questions.last ?? 0) }
        return questions * 100 / max(attempts(in: 0..<Schedule.seconds), 1)
    }

    /// By how much a process was late at most, in milliseconds.
    var latest: Int { reports.map(\.latest).max() ?? 0 }

    /// How many processes used their own share at the end of this second.
    func processesAway(in second: Int) -> Int {
        reports.count { $0.isStoreAway[Self.lastTick(of: second)] }
    }

    private func attempts(in seconds: Range<Int>) -> Int {
        let ticks = seconds.lowerBound * Schedule.ticksPerSecond..<seconds.upperBound * Schedule.ticksPerSecond
        return reports.reduce(0) { $0 + $1.attempts[ticks].reduce(0, +) }
    }

    private func questions(in second: Int) -> Int {
        reports.reduce(0) { sum, report in
            let before = second == 0 ? 0 : report.questions[Self.lastTick(of: second - 1)]
            return sum + report.questions[Self.lastTick(of: second)] - before
        }
    }

    private static func lastTick(of second: Int) -> Int { (second + 1) * Schedule.ticksPerSecond - 1 }
}
