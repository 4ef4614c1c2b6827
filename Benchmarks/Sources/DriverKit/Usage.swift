import BenchmarkPlatform
import Foundation
import Synchronization

/// The elapsed time, and the CPU time of the process (user and system), in seconds.
public struct Usage: Sendable {
    public var wall: Double
    public var processor: Double

    public static var now: Usage {
        Usage(
            wall: Double(nanoseconds) / 1_000_000_000,
            processor: Double(read(CLOCK_PROCESS_CPUTIME_ID)) / 1_000_000_000
        )
    }

    static func - (end: Usage, start: Usage) -> Usage {
        Usage(wall: end.wall - start.wall, processor: end.processor - start.processor)
    }

    /// The monotonic clock's time, in nanoseconds.
    public static var nanoseconds: Int { read(CLOCK_MONOTONIC) }

    private static func read(_ clock: clockid_t) -> Int {
        var now = timespec()
        clock_gettime(clock, &now)
        return now.tv_sec * 1_000_000_000 + now.tv_nsec
    }
}

/// The resident memory of the process on Linux; 0 on other systems.
public func residentKibibytes() -> Int { statusKibibytes("VmRSS:") }

/// The largest resident memory that the process has had, on Linux; 0 on other systems.
public func peakKibibytes() -> Int { statusKibibytes("VmHWM:") }

/// A figure of the process's status in the kernel; 0: the system has no such file.
private func statusKibibytes(_ label: String) -> Int {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return 0 }
    for line in status.split(separator: "\n") where line.hasPrefix(label) {
        return Int(line.split(whereSeparator: { " \t".contains($0) })[1]) ?? 0
    }
    return 0
}

/// Returns each number once.
final class Counter: Sendable {
    private let next = Atomic(0)

    func take(below limit: Int) -> Int? {
        let taken = next.wrappingAdd(1, ordering: .relaxed).oldValue
        return taken < limit ? taken : nil
    }
}

/// A value under a lock.
final class Guarded<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: Value) { self.value = Mutex(value) }

    func withLock<Result: Sendable>(_ body: @Sendable (inout Value) throws -> Result) rethrows -> Result {
        try value.withLock { try body(&$0) }
    }
}
