internal import BowlinePlatform
internal import CMalloc

/// The resources that this process uses at the moment, from `/proc/self`. Each figure is nil on systems without it.
enum ProcessFigures {
    /// How many file descriptors are open.
    static func openDescriptors() -> Int? {
        guard let folder = opendir("/proc/self/fd") else { return nil }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // Leaves out ".", ".." and the descriptor of the folder itself.
        return max(0, count - 3)
    }

    /// How much memory the program has allocated and not freed, in KiB. Unlike ``residentKiB()``, this leaves out the
    /// memory that the allocator keeps for later.
    static func allocatedKiB() -> Int? {
        let bytes = bowline_allocated_bytes()
        return bytes < 0 ? nil : Int(bytes / 1024)
    }

    /// How much memory is resident, in KiB.
    static func residentKiB() -> Int? { status("VmRSS:") }

    /// How many threads the process has.
    static func threads() -> Int? { status("Threads:") }

    /// The number after a name in `/proc/self/status`.
    private static func status(_ name: String) -> Int? {
        guard let file = fopen("/proc/self/status", "r") else { return nil }
        defer { fclose(file) }
        let lineSize = 512
        var line = [CChar](repeating: 0, count: lineSize)
        while fgets(&line, Int32(lineSize), file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            guard text.hasPrefix(name) else { continue }
            return Int(text.dropFirst(name.count).drop { !$0.isNumber }.prefix { $0.isNumber })
        }
        return nil
    }
}
