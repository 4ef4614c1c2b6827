import Bowline
import BowlineTesting
import Foundation
import NIOCore
import NIOPosix
import Testing

/// SwiftNIO's threads for blocking work read and write files. The process ends if they cannot be started. Each of these
/// tests runs in a process of its own, because a started thread never ends.
@Suite("Files in a process that has no client on a network", .timeLimit(.minutes(1)))
struct FileThreadTests {
    private static func makeClient() throws -> ServiceClient {
        let stub = StubTransport()
        stub.on(.get, "/a", always: .respond(body: ByteBuffer(string: "content")))
        return try ServiceClient(baseURL: "http://a.example", transport: stub)
    }

    @Test("Without SwiftNIO's singletons, a file's body and a download are errors that say so")
    func switchedOff() async {
        await #expect(processExitsWith: .success) {
            NIOSingletons.singletonsEnabledSuggestion = false
            try await withTemporaryFolder { folder in
                let path = try folder.write("file", Data("before".utf8))
                let client = try FileThreadTests.makeClient()
                let sent = try await serviceError { _ = try await RequestBody.file(path) }
                try #require(sent.code == .invalidConfiguration)
                try #require(sent.message.contains("singletonsEnabledSuggestion"))
                let received = try await serviceError { _ = try await client.download("a", to: path) }
                try #require(received.code == .invalidConfiguration)
                try #require(received.progress == .responseStarted)
                try #require(try folder.read("file") == Data("before".utf8))
                try #require(try folder.names() == ["file"])
            }
        }
    }

    // Address sanitizer needs unlimited address space.
    #if os(Linux) && !ADDRESS_SANITIZER
        @Test("With too few threads, a file's body and a download are errors that say so, and work with enough threads")
        func tooFewThreads() async {
            await #expect(processExitsWith: .success) {
                NIOSingletons.blockingPoolThreadCountSuggestion = 64
                try await withTemporaryFolder { folder in
                    let path = try folder.write("file", Data("before".utf8))
                    let client = try FileThreadTests.makeClient()
                    // Each thread takes 8 MiB of address space for its stack.
                    let before = try FileThreadTests.limitAddressSpace(toMore: 128 << 20)
                    let sent = try await serviceError { _ = try await RequestBody.file(path) }
                    let received = try await serviceError { _ = try await client.download("a", to: path) }
                    var limit = before
                    try #require(setrlimit(FileThreadTests.addressSpace, &limit) == 0)
                    for error in [sent, received] {
                        try #require(error.code == .fileFailed, "\(error)")
                        try #require(error.message.contains("64 threads"), "\(error)")
                    }
                    try #require(sent.progress == .neverSent)
                    try #require(received.progress == .responseStarted)
                    try #require(try folder.read("file") == Data("before".utf8))
                    let body = try await RequestBody.file(path)
                    try #require(body.length == 6)
                    _ = try await client.download("a", to: path)
                    try #require(try folder.read("file") == Data("content".utf8))
                    try #require(try folder.names() == ["file"])
                }
            }
        }

        private static var addressSpace: __rlimit_resource_t { __rlimit_resource_t(RLIMIT_AS.rawValue) }

        /// - Returns: the limit before the change.
        private static func limitAddressSpace(toMore count: Int) throws -> rlimit {
            let figures = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
            let used = (figures.first.flatMap { Int($0) } ?? 0) * sysconf(Int32(_SC_PAGESIZE))
            var limit = rlimit()
            try #require(getrlimit(addressSpace, &limit) == 0)
            let before = limit
            limit.rlim_cur = rlim_t(used + count)
            try #require(setrlimit(addressSpace, &limit) == 0)
            return before
        }
    #endif
}
