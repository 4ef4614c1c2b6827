internal import Bowline
internal import BowlinePlatform
internal import Testing

@testable import BowlineTool

@Suite("Bodies from and to files", .timeLimit(.minutes(1)))
struct BodyFileTests {
    /// Runs `body` with the path of a file that exists until `body` returns.
    private static func withFile(_ bytes: [UInt8], _ body: (String) async throws -> Void) async throws {
        var template = Array("/tmp/bowline-tool-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        try #require(descriptor >= 0)
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { unlink(path) }
        bytes.withUnsafeBytes { #expect(write(descriptor, $0.baseAddress, $0.count) == $0.count) }
        close(descriptor)
        try await body(path)
    }

    private static func contents(of path: String) async throws -> [UInt8] {
        try await FileChunks(path: path).reduce(into: []) { $0 += Array($1.readableBytesView) }
    }

    @Test("A regular file has a length and is read again each time, in pieces")
    func regular() async throws {
        let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0) }
        try await Self.withFile(bytes) { path in
            #expect(try BodyFile(path).length == bytes.count)
            #expect(try BodyFile(path).requestBody.length == bytes.count)
            for _ in 0..<2 { #expect(try await Self.contents(of: path) == bytes) }
            let sizes = try await FileChunks(path: path).reduce(into: []) { $0.append($1.readableBytes) }
            #expect(sizes.count > 1)
        }
    }

    @Test("a device, a pipe and standard input have no length")
    func streams() throws {
        #expect(try BodyFile("/dev/null").length == nil)
        #expect(try BodyFile("-").length == nil)
        #expect(try BodyFile("-").requestBody.length == nil)
    }

    @Test("A file under /proc reports no bytes, is read to its end, and can be sent again")
    func unknownSize() async throws {
        let path = "/proc/self/limits"
        guard access(path, R_OK) == 0 else { return }
        let file = try BodyFile(path)
        #expect(file.length == nil)
        #expect(file.isReplayable)
        #expect(file.requestBody.length == nil)
        #expect(file.requestBody.isReplayable)
        #expect(try await Self.contents(of: path).count > 100)
        try await Self.withFile([]) { path in
            let empty = try BodyFile(path)
            #expect(empty.length == 0)
            #expect(empty.isReplayable)
        }
    }

    @Test("-o writes into a pipe and through a symbolic link, and replaces neither")
    func specialOutput() async throws {
        func kind(_ path: String) -> mode_t? {
            var facts = stat()
            return lstat(path, &facts) == 0 ? facts.st_mode & S_IFMT : nil
        }
        func say(_ text: String, to path: String) throws {
            let file = try OutputFile(path)
            try file.beginBody()
            try Array(text.utf8).withUnsafeBytes(file.write)
        }
        try await Self.withFile(Array("before that".utf8)) { path in
            let (pipe, link) = (path + ".pipe", path + ".link")
            defer {
                unlink(pipe)
                unlink(link)
            }
            #expect(mkfifo(pipe, 0o600) == 0)
            #expect(symlink(path, link) == 0)
            let reader = open(pipe, O_RDONLY | O_NONBLOCK)
            defer { close(reader) }
            try say("hello", to: pipe)
            var bytes = [UInt8](repeating: 0, count: 16)
            #expect(read(reader, &bytes, 16) == 5)
            try say("hello", to: link)
            #expect(try await Self.contents(of: path) == Array("hello".utf8))
            #expect(kind(pipe) == S_IFIFO)
            #expect(kind(link) == S_IFLNK)
        }
    }

    @Test("A file that disappears is an error with the file's name")
    func missing() async {
        await #expect(throws: FileError("read", path: "/no/such-file", number: ENOENT)) {
            try await Self.contents(of: "/no/such-file")
        }
    }

    @Test("-o changes the file only when a body begins, then replaces its content; a second body follows the first")
    func output() async throws {
        try await Self.withFile(Array("what was there before".utf8)) { path in
            let file = try OutputFile(path)
            #expect(try await Self.contents(of: path).count == 21)
            for text in ["one", "two"] {
                try file.beginBody()
                try Array(text.utf8).withUnsafeBytes(file.write)
            }
            #expect(try await Self.contents(of: path) == Array("onetwo".utf8))
        }
    }

    @Test("-o to a device does not truncate it")
    func device() throws {
        let file = try OutputFile("/dev/null")
        try file.beginBody()
        try Array("x".utf8).withUnsafeBytes(file.write)
    }
}
