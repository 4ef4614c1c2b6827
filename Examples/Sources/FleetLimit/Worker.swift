import Bowline
import BowlineTesting
import Foundation
import Synchronization

/// What the program tells a process of the fleet, as arguments.
struct WorkerOrder {
    let socket: String
    let report: String
    let begins: MonotonicInstant

    init(socket: String, report: String, begins: MonotonicInstant) {
        self.socket = socket
        self.report = report
        self.begins = begins
    }

    /// Reads the arguments of a process; nil: this process is not one of the fleet.
    init?(arguments: [String]) {
        guard arguments.count == 5, arguments[1] == "worker", let begins = Int64(arguments[4]) else { return nil }
        self.init(socket: arguments[2], report: arguments[3], begins: MonotonicInstant(nanoseconds: begins))
    }

    var arguments: [String] { ["worker", socket, report, "\(begins.nanoseconds)"] }
}

/// What a process of the fleet has done, per tick of the ``Schedule``.
struct WorkerReport: Codable {
    /// The attempts that the service has got.
    var attempts = [Int](repeating: 0, count: Schedule.seconds * Schedule.ticksPerSecond)
    /// The questions for the store since the process began, at the end of the tick.
    var questions: [Int] = []
    /// Whether the gate used its own share instead of the store, at the end of the tick.
    var isStoreAway: [Bool] = []
    /// By how much the process's own timer was late at most, in milliseconds.
    var latest = 0
}

/// A process of the fleet: sends as many requests as its limit lets through.
struct Worker {
    private static let callers = 40
    private static let tick = Duration.seconds(1) / Schedule.ticksPerSecond

    private let order: WorkerOrder
    private let store: RedisStore
    private let client: ServiceClient
    private let clock = MonotonicClock()
    private let seen: Seen

    init(_ order: WorkerOrder) throws {
        self.order = order
        let store = RedisStore(socket: order.socket)
        let seen = Seen(begins: order.begins)
        let service = StubTransport()
        service.on(.get, "/orders") { _ in
            seen.record(at: MonotonicClock().now)
            return .respond()
        }
        client = try ServiceClient(baseURL: "http://orders.example", transport: service) {
            $0.resilience.rate = RateOptions {
                $0.perSecond = Schedule.quota.perSecond
                $0.burst = Schedule.quota.burst
                $0.store = store
            }
        }
        self.store = store
        self.seen = seen
    }

    func run() async throws {
        endWithParent()
        try await clock.sleep(until: order.begins, tolerance: nil)
        let end = order.begins.advanced(by: .seconds(Schedule.seconds))
        var report = WorkerReport()
        await withTaskGroup { group in
            for _ in 0..<Self.callers { group.addTask { await call(until: end) } }
            for tick in 1...report.attempts.count {
                let due = order.begins.advanced(by: Self.tick * tick)
                try? await clock.sleep(until: due, tolerance: nil)
                report.latest = max(report.latest, Int(due.duration(to: clock.now) / .milliseconds(1)))
                report.questions.append(await store.questions)
                report.isStoreAway.append(client.resilience.snapshot().scopes.first?.rate.isStoreAway ?? false)
            }
        }
        report.attempts = seen.counts
        await client.shutdown()
        try JSONEncoder().encode(report).write(to: URL(fileURLWithPath: order.report), options: .atomic)
    }

    /// Sends one request after another.
    private func call(until end: MonotonicInstant) async {
        while clock.now < end {
            do {
                _ = try await client.get("orders")
            } catch {
                // The limit has refused the request: not at once again.
                try? await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    /// Ends this process if its parent has ended: the parent holds the other end of the standard input.
    private func endWithParent() {
        Thread {
            while !FileHandle.standardInput.availableData.isEmpty {}
            exit(1)
        }.start()
    }

    /// What the service has seen.
    private final class Seen: Sendable {
        private let begins: MonotonicInstant
        private let state = Mutex(WorkerReport().attempts)

        init(begins: MonotonicInstant) { self.begins = begins }

        var counts: [Int] { state.withLock { $0 } }

        func record(at now: MonotonicInstant) {
            let tick = Int(begins.duration(to: now) / Worker.tick)
            state.withLock { counts in
                if counts.indices.contains(tick) { counts[tick] += 1 }
            }
        }
    }
}
