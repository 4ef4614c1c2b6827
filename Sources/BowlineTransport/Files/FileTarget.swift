internal import BowlinePlatform

/// The way in which a download writes to its path.
///
/// | at the path | what happens |
/// |---|---|
/// | nothing, or a regular file | replaced |
/// | a symbolic link to one of these, or to nothing | the link's target is replaced, the link stays |
/// | a device or a pipe, or a link to one | written into |
/// | a regular file behind `/proc/…/fd` or `/dev/fd` | written into, emptied at the first byte: a process has it open |
/// | a folder, a socket, links in a circle | refused |
enum FileTarget: Sendable, Equatable {
    /// The bytes go to the file `partial`, which takes the name `path` at the end.
    ///
    /// - permissions: The permissions of the replaced file; nil: there is none.
    case replaced(path: String, partial: String, permissions: mode_t?)
    /// The bytes are written into the existing file as they arrive.
    ///
    /// - truncates: Whether the old contents are removed, when the first byte arrives or at the end of an empty body.
    case writtenInto(truncates: Bool)

    /// The maximum number of links to follow, like the system's.
    private static let maximumLinks = 40

    /// Decides what to do with the path. May block.
    ///
    /// - Throws: `FileFailure`.
    init(_ path: String) throws {
        guard !path.isEmpty else { throw FileFailure("write", path, number: ENOENT) }
        guard !path.utf8.contains(0) else { throw FileFailure("write", path, number: EINVAL) }
        var facts = stat()
        let isThere = stat(path, &facts) == 0
        if !isThere, errno != ENOENT { throw FileFailure("write", path) }
        if isThere {
            switch facts.st_mode & S_IFMT {
            case S_IFREG: break
            case S_IFDIR: throw FileFailure("write", path, number: EISDIR)
            default:
                self = .writtenInto(truncates: false)
                return
            }
        }
        let (target, isOpenElsewhere) = try Self.followLinks(from: path)
        if isThere, !isOpenElsewhere {
            // Following the links must lead to the same file as the system's own look-up.
            var found = stat()
            guard stat(target, &found) == 0, found.st_ino == facts.st_ino, found.st_dev == facts.st_dev else {
                throw FileFailure("write", path, number: ESTALE)
            }
        }
        if isThere, isOpenElsewhere {
            self = .writtenInto(truncates: true)
        } else {
            self = .replaced(
                path: target, partial: Self.partial(beside: target),
                permissions: isThere ? facts.st_mode & 0o777 : nil)
        }
    }

    /// Whether a file may be renamed to this path: there is nothing, or a regular file.
    static func isReplaceable(_ path: String) -> Bool {
        var facts = stat()
        guard lstat(path, &facts) == 0 else { return errno == ENOENT }
        return facts.st_mode & S_IFMT == S_IFREG
    }

    /// Follows all links. Returns the final path, which need not exist, and whether one of the links represents a file
    /// that a process has open.
    private static func followLinks(from path: String) throws -> (target: String, isOpenElsewhere: Bool) {
        var target = path
        var isOpenElsewhere = false
        for _ in 0...maximumLinks {
            guard let text = try link(at: target, of: path) else { return (target, isOpenElsewhere) }
            if ProcessFiles.areIn(folder(of: target)) { isOpenElsewhere = true }
            target = text.utf8.first == UInt8(ascii: "/") ? text : folder(of: target) + text
        }
        throw FileFailure("write", path, number: ELOOP)
    }

    /// Returns the target of the link at `target`; nil: there is no link.
    private static func link(at target: String, of path: String) throws -> String? {
        var facts = stat()
        guard lstat(target, &facts) == 0 else {
            if errno == ENOENT { return nil }
            throw FileFailure("write", path)
        }
        guard facts.st_mode & S_IFMT == S_IFLNK else { return nil }
        let bytes = [UInt8](unsafeUninitializedCapacity: Int(PATH_MAX)) { buffer, count in
            let read = buffer.withMemoryRebound(to: CChar.self) { readlink(target, $0.baseAddress!, $0.count) }
            count = max(read, 0)
        }
        guard !bytes.isEmpty else { throw FileFailure("write", path) }
        let text = String(decoding: bytes, as: UTF8.self)
        // A target that is not UTF-8 would be repaired when it is decoded, and the text would name another file.
        guard text.utf8.elementsEqual(bytes) else { throw FileFailure("write", path, number: EILSEQ) }
        return text
    }

    /// Returns the path up to its last slash.
    private static func folder(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
        return String(path[...slash])
    }

    private static func partial(beside path: String) -> String {
        let folder = folder(of: path)
        // A name has at most 255 bytes, so only the beginning of a long name is kept.
        let beginning = String(decoding: path.utf8.dropFirst(folder.utf8.count).prefix(200), as: UTF8.self)
        return "\(folder).\(beginning).\(String(UInt64.random(in: 0 ... .max), radix: 36)).part"
    }
}
