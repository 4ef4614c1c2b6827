import Bowline
import BowlineTesting
import Foundation
import NIOCore
import Testing

@Suite("Downloads to special files", .timeLimit(.minutes(1)))
struct SpecialFileTests {
    private static let content = Data((0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })

    private static func withClient(_ body: (ServiceClient) async throws -> Void) async throws {
        let stub = StubTransport()
        stub.on(.get, "/a", always: .respond(body: ByteBuffer(bytes: content)))
        try await body(ServiceClient(baseURL: "http://a.example", transport: stub))
    }

    private static func kind(_ path: String) -> mode_t? {
        var facts = stat()
        return lstat(path, &facts) == 0 ? facts.st_mode & S_IFMT : nil
    }

    private static func makePipe(in folder: TemporaryFolder) throws -> String {
        let path = folder.file("pipe")
        try #require(mkfifo(path, 0o600) == 0)
        return path
    }

    /// Returns when a pipe is full.
    private static func waitUntilFull(_ reader: CInt) async throws {
        try await eventually("the pipe is full") {
            var waiting: CInt = 0
            _ = ioctl(reader, UInt(FIONREAD), &waiting)
            return waiting >= 65_536
        }
    }

    /// Reads a pipe to its end, on a thread of its own. Opened for reading and writing so that opening does not wait.
    private static func reader(of path: String) -> (opened: Gate, content: Task<Data, Never>) {
        let opened = Gate()
        let content = Task {
            await withCheckedContinuation { continuation in
                Thread.detachNewThread {
                    let descriptor = open(path, O_RDONLY | O_NONBLOCK)
                    _ = fcntl(descriptor, F_SETFL, 0)
                    opened.open()
                    var content = Data()
                    var bytes = [UInt8](repeating: 0, count: 65_536)
                    // Without a writer there is nothing to read; the writer's end is the end.
                    while content.count < Self.content.count {
                        var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                        poll(&wanted, 1, 10_000)
                        let count = read(descriptor, &bytes, bytes.count)
                        if count > 0 { content.append(contentsOf: bytes.prefix(count)) } else { break }
                    }
                    close(descriptor)
                    continuation.resume(returning: content)
                }
            }
        }
        return (opened, content)
    }

    @Test("A pipe with a reader gets the bytes and stays a pipe", arguments: [false, true])
    func pipe(throughLink: Bool) async throws {
        try await withTemporaryFolder { folder in
            let path = try Self.makePipe(in: folder)
            try FileManager.default.createSymbolicLink(atPath: folder.file("link"), withDestinationPath: "pipe")
            let (opened, content) = Self.reader(of: path)
            try await opened.wait()
            try await Self.withClient { client in
                let written = try await client.download("a", to: throughLink ? folder.file("link") : path)
                #expect(written == Self.content.count)
            }
            #expect(await content.value == Self.content)
            #expect(Self.kind(path) == S_IFIFO)
            #expect(Self.kind(folder.file("link")) == S_IFLNK)
            #expect(try folder.names() == ["link", "pipe"])
        }
    }

    @Test("A pipe without a reader fails at once with fileFailed, and stays")
    func pipeWithoutReader() async throws {
        try await withTemporaryFolder { folder in
            let path = try Self.makePipe(in: folder)
            try await Self.withClient { client in
                let error = try await serviceError { try await client.download("a", to: path) }
                #expect(error.code == .fileFailed)
                #expect(error.message.contains("pipe\": No such device"))
            }
            #expect(Self.kind(path) == S_IFIFO)
        }
    }

    @Test("A download to a pipe whose reader reads nothing waits until the task is cancelled")
    func slowReader() async throws {
        try await withTemporaryFolder { folder in
            let path = try Self.makePipe(in: folder)
            let reader = open(path, O_RDONLY | O_NONBLOCK)
            defer { close(reader) }
            try await Self.withClient { client in
                let task = Task { try await client.download("a", to: path) }
                try await Self.waitUntilFull(reader)
                task.cancel()
                await #expect(throws: CancellationError.self) { try await task.value }
            }
            #expect(Self.kind(path) == S_IFIFO)
        }
    }

    @Test("A pipe whose reader goes away fails with fileFailed, and the process lives")
    func readerGoes() async throws {
        try await withTemporaryFolder { folder in
            let path = try Self.makePipe(in: folder)
            let reader = open(path, O_RDONLY | O_NONBLOCK)
            try await Self.withClient { client in
                let task = Task { try await client.download("a", to: path) }
                try await Self.waitUntilFull(reader)
                close(reader)
                let error = try await serviceError { _ = try await task.value }
                #expect(error.code == .fileFailed)
                #expect(error.message.contains("Broken pipe"))
            }
        }
    }

    @Test("A device is written into and stays a device")
    func device() async throws {
        try await withTemporaryFolder { folder in
            let path = folder.file("null")
            // On Linux, number 1:3 takes every byte.
            guard mknod(path, S_IFCHR | 0o600, 1 << 8 | 3) == 0, access(path, W_OK) == 0 else { return }
            let descriptor = open(path, O_WRONLY)
            // A file system for temporary files may allow no devices.
            guard descriptor >= 0 else { return }
            close(descriptor)
            symlink("null", folder.file("link"))
            try await Self.withClient { client in
                for name in ["null", "link"] {
                    let written = try await client.download("a", to: folder.file(name))
                    #expect(written == Self.content.count)
                }
            }
            #expect(Self.kind(path) == S_IFCHR)
            #expect(try folder.names() == ["link", "null"])
        }
    }

    @Test("A socket is refused and stays")
    func socketFile() async throws {
        var options = LoopbackServer.Options()
        options.address = .unixSocket
        try await withLoopbackServer(options) { server in
            let url = try ServiceURL(server.baseURL)
            let path = try #require(url.origin.socketPath)
            try await Self.withClient { client in
                let error = try await serviceError { try await client.download("a", to: path) }
                #expect(error.code == .fileFailed)
            }
            #expect(Self.kind(path) == S_IFSOCK)
        }
    }

    @Test("A symbolic link stays: to a file, along links, to another folder, to a file that does not exist yet")
    func links() async throws {
        try await withTemporaryFolder { folder in
            try FileManager.default.createDirectory(atPath: folder.file("other"), withIntermediateDirectories: false)
            try folder.write("other/there", Data("before".utf8))
            try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: folder.file("other/there"))
            let links = [
                ("direct", "other/there", "other/there"), ("absolute", folder.file("other/there"), "other/there"),
                ("twice", "direct", "other/there"), ("dangling", "other/new", "other/new"),
                ("danglingTwice", "other/link", "other/newer"), ("up", "other/../plain", "plain"),
            ]
            symlink("newer", folder.file("other/link"))
            for (name, destination, _) in links { symlink(destination, folder.file(name)) }
            try await Self.withClient { client in
                for (name, destination, target) in links {
                    #expect(try await client.download("a", to: folder.file(name)) == Self.content.count)
                    #expect(
                        try FileManager.default.destinationOfSymbolicLink(atPath: folder.file(name)) == destination)
                    #expect(Self.kind(folder.file(target)) == S_IFREG)
                    #expect(try folder.read(target) == Self.content)
                    try folder.write("other/there", Data("before".utf8))
                }
            }
            let mode = try FileManager.default.attributesOfItem(atPath: folder.file("other/there"))[.posixPermissions]
            #expect(mode as? Int == 0o640)
            let names = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
            #expect(!names.contains { $0.hasSuffix(".part") }, "\(names)")
        }
    }

    @Test("Links in a circle, and a link to a folder or into a missing one, fail with fileFailed and stay")
    func badLinks() async throws {
        try await withTemporaryFolder { folder in
            symlink("b", folder.file("a"))
            symlink("a", folder.file("b"))
            symlink(".", folder.file("folder"))
            symlink("none/x", folder.file("into"))
            try await Self.withClient { client in
                for name in ["a", "b", "folder", "into"] {
                    let error = try await serviceError { try await client.download("a", to: folder.file(name)) }
                    #expect(error.code == .fileFailed, "\(name)")
                }
            }
            #expect(try folder.names() == ["a", "b", "folder", "into"])
            for name in try folder.names() { #expect(Self.kind(folder.file(name)) == S_IFLNK) }
        }
    }

    @Test("A name that is too long fails before anything is written")
    func longName() async throws {
        try await withTemporaryFolder { folder in
            try await Self.withClient { client in
                let path = folder.file(String(repeating: "n", count: 256))
                let error = try await serviceError { try await client.download("a", to: path) }
                #expect(error.code == .fileFailed)
                #expect(error.message.contains("too long"))
            }
            #expect(try folder.names().isEmpty)
        }
    }
}
