import Bowline
import BowlineTesting
import Foundation
import NIOCore
import Testing

@Suite(
    "Downloads to a file that a process has open, by its descriptor's name",
    .enabled(if: FileManager.default.fileExists(atPath: "/proc/self/fd"), "needs /proc"), .timeLimit(.minutes(1)))
struct OpenFileTests {
    private static let content = Data((0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
    private static let before = Data(repeating: 1, count: 400_000)

    private struct Broken: Error {}

    private static func makeClient() throws -> ServiceClient {
        let stub = StubTransport()
        stub.on(.get, "/a", always: .respond(body: ByteBuffer(bytes: content)))
        stub.on(.get, "/empty", always: .respond(body: ByteBuffer()))
        stub.on(.get, "/broken") { _ in
            let chunks = AsyncThrowingStream<ByteBuffer, any Error> { $0.finish(throwing: Broken()) }
            return .respond(ServiceResponse(status: .ok, body: ResponseBody(chunks)))
        }
        return try ServiceClient(baseURL: "http://a.example", transport: stub)
    }

    /// Whether the open file and the named one are the same.
    private static func isSame(_ descriptor: CInt, _ path: String) -> Bool {
        var opened = stat()
        var named = stat()
        return fstat(descriptor, &opened) == 0 && lstat(path, &named) == 0 && opened.st_ino == named.st_ino
    }

    /// Names that lead to descriptor `N`. `F` is the test's folder, where `p` leads to `/proc/self` and `link` to the
    /// descriptor.
    static let ways = [
        "/dev/fd/N", "/proc/self/fd/N", "/proc/thread-self/fd/N", "//proc/self/fd/N", "/dev/../proc/self/./fd/N",
        "F/p/fd/N",
        "F/link", "F/linkToLink", "F/linkThroughFolder",
    ]

    @Test("A download empties the open file and writes into it, whatever name leads to it", arguments: ways)
    func writtenInto(way: String) async throws {
        try await withTemporaryFolder { folder in
            let path = try folder.write("open", Self.before)
            let descriptor = open(path, O_RDWR)
            defer { close(descriptor) }
            symlink("/proc/self", folder.file("p"))
            symlink("/proc/self/fd/\(descriptor)", folder.file("link"))
            symlink("link", folder.file("linkToLink"))
            symlink("p/fd/\(descriptor)", folder.file("linkThroughFolder"))
            let target = way.replacing("N", with: "\(descriptor)").replacing("F/", with: folder.path + "/")
            let written = try await Self.makeClient().download("a", to: target)
            #expect(written == Self.content.count)
            #expect(Self.isSame(descriptor, path))
            #expect(try folder.read("open") == Self.content)
            #expect(try folder.names() == ["link", "linkThroughFolder", "linkToLink", "open", "p"])
        }
    }

    @Test("A relative path works as well, with a working directory in /proc")
    func workingDirectory() async {
        await #expect(processExitsWith: .success) {
            try await withTemporaryFolder { folder in
                for (directory, prefix) in [("/proc/self", "fd/"), ("/proc/self/fd", ""), ("/dev/fd", "./")] {
                    let path = try folder.write("open", OpenFileTests.before)
                    let descriptor = open(path, O_RDWR)
                    defer { close(descriptor) }
                    try #require(chdir(directory) == 0)
                    _ = try await OpenFileTests.makeClient().download("a", to: "\(prefix)\(descriptor)")
                    try #require(chdir("/") == 0)
                    try #require(OpenFileTests.isSame(descriptor, path))
                    try #require(try folder.read("open") == OpenFileTests.content)
                    try #require(try folder.names() == ["open"])
                }
            }
        }
    }

    @Test("A file in a folder that /proc leads to is replaced like any other file")
    func folderBehindLink() async throws {
        try await withTemporaryFolder { folder in
            let path = try folder.write("open", Self.before)
            let (descriptor, other) = (open(path, O_RDWR), open(folder.path, O_RDONLY))
            defer {
                close(descriptor)
                close(other)
            }
            _ = try await Self.makeClient().download("a", to: "/proc/self/fd/\(other)/open")
            #expect(!Self.isSame(descriptor, path))
            #expect(try folder.read("open") == Self.content)
            #expect(try folder.names() == ["open"])
        }
    }

    @Test("A body that fails before its first byte leaves the content alone; an empty one empties the file")
    func truncation() async throws {
        try await withTemporaryFolder { folder in
            let path = try folder.write("open", Self.before)
            let descriptor = open(path, O_RDWR)
            defer { close(descriptor) }
            let client = try Self.makeClient()
            await #expect(throws: (any Error).self) {
                try await client.download("broken", to: "/dev/fd/\(descriptor)")
            }
            #expect(try folder.read("open") == Self.before)
            #expect(try await client.download("empty", to: "/dev/fd/\(descriptor)") == 0)
            #expect(try folder.read("open").isEmpty)
            #expect(Self.isSame(descriptor, path))
        }
    }
}
