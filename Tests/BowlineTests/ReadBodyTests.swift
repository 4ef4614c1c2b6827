import Bowline
import BowlineTesting
import Foundation
import NIOCore
import Testing

@Suite("A body can be read before it is sent", .timeLimit(.minutes(1)))
struct ReadBodyTests {
    /// Sums up a body before it is sent, as a signer would.
    private struct Counting: ServiceMiddleware {
        let name = HTTPField.Name("X-Count")!

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            var request = request
            var count = 0
            for try await chunk in request.body.chunks { count += chunk.readableBytes }
            request.fields[name] = "\(count)"
            return try await next(request, context: context)
        }
    }

    /// A custom transport. It answers with the body that it was sent.
    private struct Echoing: ServiceTransport {
        func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
            var sent = ByteBuffer()
            for try await var chunk in request.body.chunks { sent.writeBuffer(&chunk) }
            return ServiceResponse(status: .ok, body: ResponseBody(sent))
        }
    }

    private func stream(_ sizes: Int...) -> RequestBody {
        let chunks = AsyncStream<ByteBuffer> { continuation in
            for size in sizes { continuation.yield(ByteBuffer(repeating: UInt8(ascii: "x"), count: size)) }
            continuation.finish()
        }
        return .stream(chunks)
    }

    @Test("Over a socket, bytes, files, forms and short streams are read and then sent whole")
    func overSocket() async throws {
        try await withLoopbackServer { server in
            server.route(.put, "/a") {
                .reply(200, body: "\($0.fields[HTTPField.Name("X-Count")!] ?? "") \($0.bodyLength)")
            }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.middleware.perAttempt = [Counting()] }
            try await withTemporaryFolder { folder in
                let path = folder.file("a")
                try folder.write("a", Data(repeating: 1, count: 300_000))
                var form = MultipartForm()
                form.append("file", file: try await .file(path), fileName: "a", contentType: "text/plain")
                for body in try await [.text("hello"), .file(path), .multipart(form), stream(60_000, 5_536)] {
                    let response = try await client.put("a", body: body)
                    let counts = try await response.text().split(separator: " ")
                    #expect(counts.count == 2, "\(body)")
                    #expect(counts.first == counts.last, "\(body)")
                    #expect(counts.first != "0", "\(body)")
                }
            }
            _ = await client.shutdown(within: .seconds(5))
        }
    }

    @Test("Over a socket, a stream that was read too far is not sent at all, rather than in part")
    func readTooFar() async throws {
        try await withLoopbackServer { server in
            server.route(.put, "/a", always: .reply(200))
            let client = try ServiceClient(baseURL: server.baseURL) { $0.middleware.perAttempt = [Counting()] }
            let error = await #expect(throws: ServiceError.self) {
                try await client.put("a", body: stream(60_000, 5_537))
            }
            #expect(error?.code == .requestBodyConsumed)
            #expect(error?.progress == .neverSent)
            #expect(server.requests.isEmpty)
            _ = await client.shutdown(within: .seconds(5))
        }
    }

    @Test(
        "A file that has grown since the body was made is longer than its length, when it is read and when it is sent")
    func grown() async throws {
        try await withTemporaryFolder { folder in
            for before in [0, 3] {
                let path = folder.file("a")
                try folder.write("a", Data(repeating: 1, count: before))
                let body = try await RequestBody.file(path)
                try folder.write("a", Data(repeating: 1, count: 10))
                let error = await body.chunks.outcome().error as? ServiceError
                #expect(error?.code == .requestBodyLengthMismatch, "\(before)")
            }
        }
    }

    @Test("A custom transport reads bodies of every kind, a long stream once")
    func ownTransport() async throws {
        let client = try ServiceClient(baseURL: "http://api.example", transport: Echoing())
        #expect(try await client.put("a", body: .text("hello")).text() == "hello")
        #expect(try await client.put("a", body: stream(100_000, 100_000)).text().utf8.count == 200_000)
        #expect(try await client.get("a").url?.absoluteString == "http://api.example/a")
    }
}
