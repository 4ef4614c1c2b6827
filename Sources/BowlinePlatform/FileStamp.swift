/// Facts about a regular file that differ after each change of its contents.
package struct FileStamp: Sendable, Hashable {
    private let device: UInt64
    private let inode: UInt64
    private let size: Int64
    private let modified: Int64
    /// When the contents, the name or the permissions last changed. A program can set the time of the modification, but
    /// not this time.
    private let changed: Int64

    /// Looks at the file. Follows symbolic links. May block.
    ///
    /// - Returns: nil if there is no such file, or if it is not a regular file.
    package init?(ofRegularFile path: String) {
        var facts = stat()
        guard !path.utf8.contains(0), stat(path, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else { return nil }
        device = UInt64(truncatingIfNeeded: facts.st_dev)
        inode = UInt64(truncatingIfNeeded: facts.st_ino)
        size = Int64(truncatingIfNeeded: facts.st_size)
        #if canImport(Darwin)
            modified = Self.nanoseconds(facts.st_mtimespec)
            changed = Self.nanoseconds(facts.st_ctimespec)
        #else
            modified = Self.nanoseconds(facts.st_mtim)
            changed = Self.nanoseconds(facts.st_ctim)
        #endif
    }

    private static func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
