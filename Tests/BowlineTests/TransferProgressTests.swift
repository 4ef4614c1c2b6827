import Bowline
import BowlineTesting
import CorpusSupport
import NIOCore
import Testing

@Suite("Progress of transfers", .timeLimit(.minutes(1)))
struct TransferProgressTests {
    /// The reports in their order.
    private final class Reports: Sendable {
        private let state = Guarded<[TransferProgress]>([])

        var all: [TransferProgress] { state.withLock { $0 } }
        var bytes: [Int] { all.map(\.bytes) }

        func note(_ progress: TransferProgress) {
            state.withLock { $0.append(progress) }
        }
    }

    private static func pieces(_ count: Int, of size: Int) -> AsyncStream<ByteBuffer> {
        AsyncStream { continuation in
            for _ in 0..<count { continuation.yield(ByteBuffer(repeating: 1, count: size)) }
            continuation.finish()
        }
    }

    private static func upload(_ body: RequestBody, reports: Reports) -> ServiceRequest {
        var request = ServiceRequest.put("/", body: body)
        request.options.onUploadProgress = { reports.note($0) }
        return request
    }

    @Test("An upload is reported as the kernel accepts it, to its last byte, before its response comes")
    func upload() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply() }
            let client = try ServiceClient(baseURL: server.baseURL)
            let cases: [(RequestBody, [Int], total: Int?)] = [
                (.none, [], nil),
                (.bytes([UInt8]()), [], nil),
                (.text("small"), [5], 5),
                (.bytes(ByteBuffer(repeating: 1, count: 300_000)), [131_072, 262_144, 300_000], 300_000),
                (.stream(Self.pieces(3, of: 1000)), [1000, 2000, 3000], nil),
                (.stream(Self.pieces(3, of: 1000), length: 3000), [1000, 2000, 3000], 3000),
                (.replayable { Self.pieces(2, of: 7) }, [7, 14], nil),
            ]
            for (body, expected, total) in cases {
                let reports = Reports()
                _ = try await client.send(Self.upload(body, reports: reports))
                #expect(reports.bytes == expected)
                #expect(reports.all.allSatisfy { $0.total == total })
            }
            await client.shutdown(within: .zero)
        }
    }

    @Test("A compressed upload is reported as it is sent")
    func compressedUpload() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply() }
            let client = try ServiceClient(baseURL: server.baseURL)
            let reports = Reports()
            var request = Self.upload(.bytes([UInt8](repeating: 1, count: 100_000)), reports: reports)
            request.options.compression = .gzip
            _ = try await client.send(request)
            let received = try #require(server.requests.first)
            #expect(CodedBytes.gunzip(Array(received.body.readableBytesView)) == [UInt8](repeating: 1, count: 100_000))
            #expect(received.fields[.contentEncoding] == "gzip")
            #expect(received.fields[.contentLength] == String(received.body.readableBytes))
            #expect(reports.bytes == [received.body.readableBytes])
            await client.shutdown(within: .zero)
        }
    }

    @Test("An upload that is sent again is reported from zero again")
    func resentUpload() async throws {
        try await withLoopbackServer { server in
            server.onConnection { connection in
                // Takes one request, and drops the second one with the connection.
                guard try await connection.readRequest() != nil else { return }
                try await connection.reply(200)
                guard connection.number == 1, try await connection.readRequest() != nil else {
                    return try await connection.serveRequests()
                }
                try await connection.closeNow()
            }
            server.respond { _ in .reply() }
            let client = try ServiceClient(baseURL: server.baseURL)
            _ = try await client.fetch("/first")
            let reports = Reports()
            let response = try await client.send(
                Self.upload(.replayable(length: 2000) { Self.pieces(2, of: 1000) }, reports: reports))
            #expect(response.resends == 1)
            #expect(reports.bytes == [1000, 2000, 1000, 2000])
            await client.shutdown(within: .zero)
        }
    }

    @Test("A progress callback that cancels its task ends the upload with CancellationError")
    func cancelledByReport() async throws {
        try await withLoopbackServer { server in
            server.respond { _ in .reply() }
            let client = try ServiceClient(baseURL: server.baseURL)
            let task = Guarded<Task<Void, any Error>?>(nil)
            let isStored = Gate()
            var request = ServiceRequest.put("/", body: .stream(Self.pieces(100, of: 1000)))
            request.options.onUploadProgress = { progress in
                if progress.bytes == 3000 { task.withLock { $0?.cancel() } }
            }
            let sending = Task { [request] in
                try await isStored.wait()
                _ = try await client.send(request)
            }
            task.withLock { $0 = sending }
            isStored.open()
            await #expect(throws: CancellationError.self) { try await sending.value }
            _ = try await client.fetch("/after")
            await client.shutdown(within: .zero)
        }
    }

    @Test("A download is reported as it is read; its total is the announced length, unless the body is decoded")
    func download() async throws {
        try await withLoopbackServer { server in
            let bytes = [UInt8](repeating: 3, count: 200_000)
            server.route(.get, "/plain") { _ in .reply(200, body: ByteBuffer(bytes: bytes)) }
            server.route(.get, "/chunked") { _ in .reply(200, body: ByteBuffer(bytes: bytes), framing: .chunked) }
            server.route(.get, "/gzip") { _ in
                .reply(
                    200, fields: [.contentEncoding: "gzip"],
                    body: ByteBuffer(bytes: CodedBytes.encode(bytes, as: .gzip)))
            }
            server.route(.get, "/empty") { _ in .reply(200) }
            let client = try ServiceClient(baseURL: server.baseURL)
            for (path, total) in [("/plain", 200_000), ("/chunked", nil), ("/gzip", nil)] {
                let reports = Reports()
                var request = ServiceRequest.get(path)
                request.options.onDownloadProgress = { reports.note($0) }
                let response = try await client.send(request)
                #expect(reports.all.isEmpty)
                var read: [Int] = []
                for try await chunk in response.body { read.append((read.last ?? 0) + chunk.readableBytes) }
                #expect(reports.bytes == read)
                #expect(read.last == 200_000)
                #expect(reports.all.allSatisfy { $0.total == total })
            }
            let reports = Reports()
            var empty = ServiceRequest.get("/empty")
            empty.options.onDownloadProgress = { reports.note($0) }
            _ = try await client.fetch(empty)
            #expect(reports.all.isEmpty)
            await client.shutdown(within: .zero)
        }
    }
}
