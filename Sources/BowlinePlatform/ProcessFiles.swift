/// The file systems in which a link represents a file that a process has open: `/proc/…/fd` and `/dev/fd`.
package enum ProcessFiles {
    /// Whether a folder belongs to one of them, even if the path leads there by a symbolic link, `..` or the working
    /// directory.
    ///
    /// - Parameter folder: Its path; empty: the working directory.
    package static func areIn(_ folder: String) -> Bool {
        guard let device = deviceNumber(of: folder.isEmpty ? "." : folder) else { return false }
        // Without such a file system, as in some containers, `/proc` is an ordinary folder.
        return ["/proc", "/dev/fd"].contains { deviceNumber(of: $0) == device } && device != deviceNumber(of: "/")
    }

    private static func deviceNumber(of path: String) -> dev_t? {
        var facts = stat()
        return stat(path, &facts) == 0 ? facts.st_dev : nil
    }
}
