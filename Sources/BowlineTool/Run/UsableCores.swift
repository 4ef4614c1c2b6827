internal import BowlinePlatform

/// The number of processors that this process may use. A pinned process (for example by `taskset`) may use only some of
/// the machine's processors.
enum UsableCores {
    /// The number of processors; `Int.max`: the system does not report it.
    static var count: Int {
        processStatus().flatMap(count(inStatus:)) ?? .max
    }

    /// Counts the processors in the text of `/proc/self/status`. Its line `Cpus_allowed:` is a mask in hexadecimal.
    ///
    /// The C library's `sched_getaffinity` would be shorter, but Swift does not import it.
    static func count(inStatus text: String) -> Int? {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("Cpus_allowed:") }) else { return nil }
        let cores = line.drop { $0 != ":" }.reduce(0) { $0 + ($1.hexDigitValue?.nonzeroBitCount ?? 0) }
        return cores > 0 ? cores : nil
    }

    private static func processStatus() -> String? {
        #if os(Linux) || os(Android)
            let descriptor = open("/proc/self/status", O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { return nil }
            defer { close(descriptor) }
            // The kernel writes less than 2 KiB.
            let bytes = [UInt8](unsafeUninitializedCapacity: 8192) { buffer, count in
                count = max(0, read(descriptor, buffer.baseAddress, buffer.count))
            }
            return String(decoding: bytes, as: UTF8.self)
        #else
            return nil
        #endif
    }
}
