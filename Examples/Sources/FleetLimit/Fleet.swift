import Bowline
import Foundation

/// Runs the store and the processes of the fleet.
enum Fleet {
    /// Runs the ``Schedule``, and returns what the processes have reported.
    static func run() async throws -> [WorkerReport] {
        let keeper = try StoreKeeper()
        defer { keeper.end() }
        try keeper.start()
        try await RedisStore(socket: keeper.socket).waitUntilReady(for: .seconds(10))

        let clock = MonotonicClock()
        let begins = clock.now.advanced(by: .seconds(1))
        let orders = (1...Schedule.processes).map { number in
            WorkerOrder(
                socket: keeper.socket, report: keeper.folder.appending(path: "report-\(number)").path, begins: begins)
        }
        let workers = try orders.map { try ChildProcess(arguments: $0.arguments) }
        print("\(workers.count) processes share \(Int(Schedule.quota.perSecond)) attempts per second …")
        try await clock.sleep(until: begins.advanced(by: .seconds(Schedule.killed)), tolerance: nil)
        try keeper.kill()
        try await clock.sleep(until: begins.advanced(by: .seconds(Schedule.restarted)), tolerance: nil)
        try keeper.start()
        for worker in workers { try await worker.end() }
        return try orders.map { order in
            try JSONDecoder().decode(WorkerReport.self, from: Data(contentsOf: URL(fileURLWithPath: order.report)))
        }
    }
}

/// This program in a process of its own, with other arguments. It ends when this process ends, whatever the reason: it
/// reads its standard input until the end.
private struct ChildProcess {
    private let process = Process()
    private let input = Pipe()
    private let ends: AsyncStream<Int32>

    init(arguments: [String]) throws {
        let (ends, end) = AsyncStream.makeStream(of: Int32.self)
        self.ends = ends
        process.executableURL = Bundle.main.executableURL
        process.arguments = arguments
        process.standardInput = input
        process.terminationHandler = {
            end.yield($0.terminationStatus)
            end.finish()
        }
        try process.runWithSignals()
    }

    /// Waits until the process has ended by itself.
    func end() async throws {
        for await status in ends where status != 0 {
            throw StoreFailure(description: "a process of the fleet has failed with the status \(status)")
        }
    }
}
