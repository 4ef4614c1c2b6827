import Bowline
import Claims
import Foundation

/// Shows how several processes keep within one quota: `swift run --package-path Examples FleetLimit`. It needs
/// `redis-server` or `valkey-server`; `Scripts/install-dependencies --with-examples` installs it.
///
/// Four processes send as many requests as their limit lets through. The limit is 1,000 per second for all of them
/// together, and its tokens are in the store. The store is killed in between, and started again.
@main
enum FleetLimit {
    static func main() async throws {
        if let order = WorkerOrder(arguments: CommandLine.arguments) { return try await Worker(order).run() }
        do {
            report(try await measured())
        } catch let failure as StoreFailure {
            print(failure)
            exit(1)
        }
    }

    /// Runs the schedule, and again if the machine was busy with other things.
    private static func measured() async throws -> [WorkerReport] {
        var reports = try await Fleet.run()
        for _ in 1..<Schedule.runs where FleetSum(reports).latest > Schedule.latest {
            print("A process had to wait \(FleetSum(reports).latest) ms for a processor: once more.")
            reports = try await Fleet.run()
        }
        return reports
    }

    private static func report(_ reports: [WorkerReport]) {
        let sum = FleetSum(reports)
        print("second  attempts  of the quota  processes on their own share  questions per 100 attempts")
        for second in 0..<Schedule.seconds { print(sum.row(second)) }
        print("\nAttempts per phase, beside the quota of \(Int(Schedule.quota.perSecond)) per second")
        for phase in Schedule.phases {
            let share = sum.share(of: phase.seconds)
            claim("\(phase.name): \(percent(share)), within 2 %", abs(share - 1) <= Schedule.tolerance)
        }
        print("The store")
        let questions = sum.questionsPerHundred
        claim("most attempts cost no round trip: \(questions) questions per 100 attempts", questions < 50)
        claim("while it was away, each process used its own share", sum.processesAway(in: 5) == reports.count)
        claim("afterwards, all processes used it again", sum.processesAway(in: Schedule.seconds - 1) == 0)
    }
}
