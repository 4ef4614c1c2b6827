import Foundation

/// What this process holds, as the kernel counts it; nil where it does not say (not on Linux), and under a sanitizer,
/// whose own notes about memory are several times what the program holds.
package enum ProcessMemory {
    /// Runs `body` and returns by how many bytes the peak memory exceeded the memory before.
    package static func peakGrowth(
        isolation: isolated (any Actor)? = #isolation, during body: () async throws -> Void
    ) async throws -> Int? {
        // "5" resets the peak (proc(5), `clear_refs`).
        try? "5".write(toFile: "/proc/self/clear_refs", atomically: false, encoding: .utf8)
        let before = bytes("VmRSS")
        try await body()
        guard let before, let peak = bytes("VmHWM") else { return nil }
        return peak - before
    }

    private static func bytes(_ name: String) -> Int? {
        // A sanitizer's own memory would be counted.
        #if THREAD_SANITIZER || ADDRESS_SANITIZER
            return nil
        #else
            return statusBytes(name)
        #endif
    }

    private static func statusBytes(_ name: String) -> Int? {
        guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return nil }
        let line = status.split(separator: "\n").first { $0.hasPrefix("\(name):") }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
    }
}
