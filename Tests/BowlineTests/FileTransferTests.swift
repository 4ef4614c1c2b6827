import Bowline
import BowlineTesting
import Foundation
import NIOCore
import Testing

@Suite("Files as bodies, downloads to files", .timeLimit(.minutes(1)))
struct FileTransferTests {
    private static func bytes(_ count: Int) -> Data {
        Data((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
    }

    @Test("A file is sent whole, with its length", arguments: [0, 1, 131_072, 131_073, 1_000_000])
    func upload(size: Int) async throws {
        try await withTemporaryFolder { folder in
            let content = Self.bytes(size)
            let path = try folder.write("up.bin", content)
            try await withLoopbackServer { server in
                server.respond { _ in .reply(200) }
                try await withServiceClient(server.baseURL) { client in
                    _ = try await client.put("up", body: .file(path, contentType: "application/x-tar"))
                }
                let request = try #require(server.requests.first)
                #expect(request[.contentLength] == "\(size)")
                #expect(request[.contentType] == "application/x-tar")
                #expect(Data(request.body.readableBytesView) == content)
            }
        }
    }

    @Test("A file is opened again and sent from its first byte when a pooled connection was dead", .tags(.RT5))
    func uploadResent() async throws {
        try await withTemporaryFolder { folder in
            let content = Self.bytes(300_000)
            let path = try folder.write("up.bin", content)
            try await withLoopbackServer { server in
                server.route(.get, "/warm", always: .reply(200))
                server.respond { $0.number > 1 ? .close : .reply(200) }
                try await withServiceClient(server.baseURL) { client in
                    _ = try await client.get("warm").text()
                    #expect(try await client.put("up", body: .file(path)).resends == 1)
                }
                let sent = server.requests.filter { $0.path == "/up" }
                #expect(sent.count == 2)
                for request in sent { #expect(Data(request.body.readableBytesView) == content) }
            }
        }
    }

    /// The ways in which a file is sent.
    enum Sent: String, CaseIterable, Sendable {
        case body, part, compressed

        func request(of path: String) async throws -> ServiceRequest {
            var request = ServiceRequest.put("up", body: try await .file(path))
            if self == .part {
                var form = MultipartForm()
                form.append("file", file: request.body, fileName: "up.bin")
                request.body = try .multipart(form)
            }
            if self == .compressed { request.options.compression = .gzip }
            return request
        }
    }

    @Test(
        "A file that grows or shrinks before it is sent fails with requestBodyLengthMismatch: alone, in a form, compressed",
        arguments: Sent.allCases, [100, 300_000])
    func changedLength(sent: Sent, size: Int) async throws {
        try await withTemporaryFolder { folder in
            let path = try folder.write("up.bin", Self.bytes(200_000))
            try await withLoopbackServer { server in
                server.respond { _ in .reply(200) }
                let client = try ServiceClient(baseURL: server.baseURL)
                let request = try await sent.request(of: path)
                _ = try folder.write("up.bin", Self.bytes(size))
                let error = try await serviceError { _ = try await client.send(request) }
                #expect(error.code == .requestBodyLengthMismatch)
                #expect(error.message.contains(size > 200_000 ? "longer" : "shorter"))
                #expect(error.message.contains("declared length of 200000 bytes"))
                #expect(await client.shutdown(within: .seconds(1)).isClean)
                #expect(server.requests.allSatisfy { !$0.isComplete })
            }
        }
    }

    @Test(
        "A file that was empty and then has content fails with requestBodyLengthMismatch, before a byte is sent",
        arguments: Sent.allCases, [1, 300_000])
    func emptyFileThatGrows(sent: Sent, size: Int) async throws {
        try await withTemporaryFolder { folder in
            let path = try folder.write("up.bin", Data())
            try await withLoopbackServer { server in
                server.respond { _ in .reply(200) }
                try await withServiceClient(server.baseURL) { client in
                    let request = try await sent.request(of: path)
                    _ = try folder.write("up.bin", Self.bytes(size))
                    let error = try await serviceError { _ = try await client.send(request) }
                    #expect(error.code == .requestBodyLengthMismatch)
                    #expect(error.message.contains("longer than its declared length of 0 bytes"))
                    // In a form, the parts before the file have been sent by this time.
                    if sent != .part {
                        #expect(error.progress == .neverSent)
                        #expect(error.attempts == 1)
                    }
                    try FileManager.default.removeItem(atPath: path)
                    let gone = try await serviceError { _ = try await client.send(request) }
                    #expect(gone.code == .requestBodyFailed)
                }
                #expect(server.requests.allSatisfy { !$0.isComplete })
            }
        }
    }

    @Test(
        "An empty file that stays empty is sent with Content-Length: 0, alone, in a form and compressed",
        arguments: Sent.allCases)
    func emptyFile(sent: Sent) async throws {
        try await withTemporaryFolder { folder in
            let path = try folder.write("up.bin", Data())
            try await withLoopbackServer { server in
                server.respond { _ in .reply(200) }
                try await withServiceClient(server.baseURL) { client in
                    let request = try await sent.request(of: path)
                    for _ in 1...2 { #expect(try await client.send(request).status == .ok) }
                }
                #expect(server.requests.count == 2)
                for request in server.requests {
                    #expect(request.isComplete)
                    #expect(request[.transferEncoding] == nil)
                    #expect(request[.contentLength] == (sent == .part ? "\(request.bodyLength)" : "0"))
                    if sent == .part { #expect(request.bodyText.contains("filename=\"up.bin\"")) }
                }
            }
        }
    }

    @Test(
        "A file that reports no size but has content, as under /proc, is sent to its end",
        arguments: Sent.allCases)
    func fileOfUnknownSize(sent: Sent) async throws {
        let path = "/proc/self/limits"
        guard let content = FileManager.default.contents(atPath: path), !content.isEmpty else { return }
        try await withLoopbackServer { server in
            server.respond { _ in .reply(200) }
            try await withServiceClient(server.baseURL) { client in
                let response = try await client.send(sent.request(of: path))
                #expect(response.status == .ok)
            }
            let request = try #require(server.requests.first)
            #expect(request[.transferEncoding] == "chunked")
            if sent == .body { #expect(Data(request.body.readableBytesView) == content) }
            if sent == .part { #expect(request.bodyText.contains(String(decoding: content, as: UTF8.self))) }
            if sent == .compressed {
                #expect(request[.contentEncoding] == "gzip")
                #expect(request.bodyLength > 20)
            }
        }
    }

    @Test("A missing file, a folder or a device fails before a byte is sent, and the error says why")
    func missing() async throws {
        try await withTemporaryFolder { folder in
            try await withLoopbackServer { server in
                try await withServiceClient(server.baseURL) { client in
                    for (path, reason) in [
                        (folder.file("none.bin"), "none.bin\": No such file"), (folder.path, "directory"),
                        ("/dev/null", "Invalid argument"), ("", "No such file"),
                    ] {
                        let error = try await serviceError { _ = try await client.put("", body: .file(path)) }
                        #expect(error.code == .fileFailed)
                        #expect(error.progress == .neverSent)
                        #expect(error.message.contains(reason), "\(error.message)")
                        #expect(!error.message.contains(folder.path + "/"))
                    }
                    #expect(client.pool.snapshot().opened == 0)
                }
                #expect(server.connections.isEmpty)
            }
        }
    }

    @Test(
        "A file that shrinks, grows or disappears before it is sent fails the request", .tags(.H1e),
        arguments: ["shrinks", "grows", "goes"])
    func changed(how: String) async throws {
        try await withTemporaryFolder { folder in
            let path = try folder.write("up.bin", Self.bytes(200_000))
            let body = try await RequestBody.file(path)
            switch how {
            case "shrinks": try folder.write("up.bin", Self.bytes(199_999))
            case "grows": try folder.write("up.bin", Self.bytes(200_001))
            default: try FileManager.default.removeItem(atPath: path)
            }
            try await withLoopbackServer { server in
                server.respond { _ in .reply(200) }
                try await withServiceClient(server.baseURL) { client in
                    let error = try await serviceError { _ = try await client.post("", body: body) }
                    #expect(error.code == (how == "goes" ? .requestBodyFailed : .requestBodyLengthMismatch))
                }
                #expect(server.requests.allSatisfy { !$0.isComplete })
            }
        }
    }

    @Test(
        "A download writes the whole body under the name, replaces an older file, and leaves no other file",
        arguments: [0, 1, 262_144, 3_000_000])
    func download(size: Int) async throws {
        try await withTemporaryFolder { folder in
            let content = Self.bytes(size)
            try folder.write("down.bin", Data("before".utf8))
            try await withLoopbackServer { server in
                server.respond { _ in .reply(200, body: ByteBuffer(bytes: content), framing: .chunks(of: 50_000)) }
                try await withServiceClient(server.baseURL) { client in
                    let written = try await client.download("a", to: folder.file("down.bin"))
                    #expect(written == size)
                    // A hidden name of the maximum length.
                    let long = "." + String(repeating: "n", count: 254)
                    #expect(try await client.get("a").download(to: folder.file(long)) == size)
                    #expect(try folder.read("down.bin") == content)
                    #expect(try folder.names() == [long, "down.bin"])
                }
            }
        }
    }

    @Test("A download keeps the permissions of the file that it replaces")
    func permissions() async throws {
        try await withTemporaryFolder { folder in
            try folder.write("down.bin", Data("before".utf8))
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: folder.file("down.bin"))
            try await withLoopbackServer { server in
                server.respond { _ in .reply(200, body: "after") }
                try await withServiceClient(server.baseURL) { client in
                    _ = try await client.download("a", to: folder.file("down.bin"))
                }
            }
            let attributes = try FileManager.default.attributesOfItem(atPath: folder.file("down.bin"))
            #expect(attributes[.posixPermissions] as? Int == 0o600)
            #expect(try folder.read("down.bin") == Data("after".utf8))
        }
    }

    @Test("A path with a NUL is refused and not cut off at the NUL")
    func pathWithNUL() async throws {
        try await withTemporaryFolder { folder in
            try folder.write("report.sh", Data("x".utf8))
            await #expect(throws: ServiceError.self) { _ = try await RequestBody.file(folder.file("report.sh\0.jpg")) }
            let stub = StubTransport()
            stub.on(.get, "/a", always: .respond(body: "x"))
            let client = try ServiceClient(baseURL: "http://a.example", transport: stub)
            let error = try await serviceError { try await client.download("a", to: folder.file("new\0.txt")) }
            #expect(error.code == .fileFailed)
            #expect(try folder.names() == ["report.sh"])
        }
    }

    @Test("A download that fails underway leaves the old file, and no other file beside it")
    func downloadFails() async throws {
        try await withTemporaryFolder { folder in
            try folder.write("down.bin", Data("before".utf8))
            try await withLoopbackServer { server in
                let whole = ScriptedResponse(200, body: String(repeating: "x", count: 1_000_000))
                server.respond { _ in .cut(after: 600_000, of: whole) }
                try await withServiceClient(server.baseURL) { client in
                    let error = try await serviceError { try await client.download("a", to: folder.file("down.bin")) }
                    #expect(error.code == .incompleteBody)
                }
                #expect(try folder.names() == ["down.bin"])
                #expect(try folder.read("down.bin") == Data("before".utf8))
            }
        }
    }

    @Test("A download whose body is discarded underway leaves the old file, and no other file beside it")
    func downloadDiscarded() async throws {
        try await withTemporaryFolder { folder in
            try folder.write("down.bin", Data("before".utf8))
            let (chunks, hand) = AsyncStream.makeStream(of: ByteBuffer.self)
            hand.yield(ByteBuffer(string: "half"))
            let response = ServiceResponse(status: .ok, body: ResponseBody(chunks))
            let task = Task { try await response.download(to: folder.file("down.bin")) }
            try await eventually("the partial file") {
                try folder.names().contains { $0.hasSuffix(".part") }
            }
            response.body.discard()
            hand.finish()
            let error = try await serviceError { _ = try await task.value }
            #expect(error.code == .bodyAlreadyConsumed)
            #expect(try folder.names() == ["down.bin"])
            #expect(try folder.read("down.bin") == Data("before".utf8))
        }
    }

    @Test("A cancelled download leaves no file", .tags(.CA9))
    func downloadCancelled() async throws {
        try await withTemporaryFolder { folder in
            try await withLoopbackServer { server in
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n"
                server.respond { _ in .bytes(head + String(repeating: "x", count: 600_000)).thenStall() }
                try await withServiceClient(server.baseURL) { client in
                    let task = Task { try await client.download("a", to: folder.file("down.bin")) }
                    try await eventually("part of it is written") {
                        try folder.names().contains { $0.hasSuffix(".part") }
                    }
                    #expect(try folder.names().count == 1)
                    task.cancel()
                    await #expect(throws: CancellationError.self) { try await task.value }
                    #expect(try folder.names().isEmpty)
                    try await server.waitForOpenConnections(count: 0)
                }
            }
        }
    }

    @Test("A download to an unwritable place fails and releases the body; an unexpected status makes no file")
    func downloadRefused() async throws {
        try await withTemporaryFolder { folder in
            try await withLoopbackServer { server in
                server.route(.get, "/a", always: .reply(200, body: "x"))
                server.respond { _ in .reply(404, body: "no") }
                try await withServiceClient(server.baseURL) { client in
                    for path in [folder.file("none/down.bin"), folder.path, folder.path + "/", ""] {
                        let error = try await serviceError { try await client.download("a", to: path) }
                        #expect(error.code == .fileFailed)
                        #expect(error.progress == .responseStarted)
                    }
                    let error = try await serviceError { try await client.download("b", to: folder.file("b")) }
                    #expect(error.unexpectedStatus?.status == .notFound)
                    let kept = try await client.get("b").expecting(.notFound).download(to: folder.file("c"))
                    #expect(kept == 2)
                    #expect(try folder.names() == ["c"])
                }
            }
        }
    }
}
