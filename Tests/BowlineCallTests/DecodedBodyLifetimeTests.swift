import BowlineCall
import BowlineCore
import BowlineTesting
import CorpusSupport
import NIOCore
import Testing

@Suite("The life of a decoded body", .timeLimit(.minutes(5)))
struct DecodedBodyLifetimeTests {
    private static let coded = CodedBytes.encode([UInt8](repeating: 7, count: 100_000), as: .gzip)

    @Test("An unread body is neither pulled nor decoded, and dropping it reaches the network", .tags(.DC8))
    func unread() async throws {
        let body = SpiedBody { _ in ByteBuffer(bytes: Self.coded) }
        let response = try await CodedResponse("gzip", body).received()
        response.body.discard()
        #expect(body.seen.pulls == 0)
        #expect(body.seen.abandonments == 1)
    }

    @Test("Dropping an unread response abandons its body", .tags(.DC8))
    func dropped() async throws {
        weak var body: SpiedBody?
        do {
            let made = SpiedBody { _ in ByteBuffer(bytes: Self.coded) }
            body = made
            var stub: CodedResponse? = CodedResponse("gzip", made)
            var response = try await stub?.received()
            stub = nil
            #expect(response != nil)
            response = nil
        }
        #expect(body == nil)
    }

    @Test("The next chunk is pulled from the network only after the previous chunk has been read", .tags(.DC11))
    func backPressure() async throws {
        let body = SpiedBody(Self.coded + CodedBytes.encode([1], as: .gzip), inPiecesOf: Self.coded.count)
        var iterator = try await CodedResponse("gzip", body).received().body.makeAsyncIterator()
        var count = 0
        while count < 100_000 {
            let chunk = try #require(try await iterator.next())
            #expect(chunk.readableBytes <= 16_384)
            count += chunk.readableBytes
            #expect(body.seen.pulls == 1)
        }
        #expect(try await iterator.next() == ByteBuffer(bytes: [1]))
        #expect(try await iterator.next() == nil)
        #expect(body.seen.pulls == 3)
    }

    @Test("Small inputs get small buffers: chunks that the reader keeps do not cost 16 KiB each", .tags(.DC11))
    func smallChunks() async throws {
        let body = SpiedBody(CodedBytes.encode(Array("a few words".utf8), as: .gzip))
        let chunk = try #require(try await CodedResponse("gzip", body).received().body.first { _ in true })
        #expect(chunk.capacity <= 512)
    }

    @Test("A task that is cancelled within one chunk's output stops there and abandons the body", .tags(.DC11))
    func cancellation() async throws {
        let body = SpiedBody { number in number == 0 ? ByteBuffer(bytes: Self.coded) : nil }
        let response = try await CodedResponse("gzip", body).received()
        let task = Task {
            var iterator = response.body.makeAsyncIterator()
            _ = try await iterator.next()
            withUnsafeCurrentTask { $0?.cancel() }
            _ = try await iterator.next()
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(body.seen.abandonments == 1)
        #expect(body.seen.pulls == 1)
    }

    @Test("Abandoning a body while it is read ends the reading", .tags(.DC11))
    func givenUpWhileRead() async throws {
        let body = SpiedBody { number in number == 0 ? ByteBuffer(bytes: Self.coded) : nil }
        let response = try await CodedResponse("gzip", body).received()
        var iterator = response.body.makeAsyncIterator()
        _ = try await iterator.next()
        response.body.discard()
        await #expect(throws: ServiceError.self) { try await iterator.next() }
        #expect(body.seen.pulls == 1)
    }

    @Test("One task may abandon a body while another decodes it", .tags(.DC11))
    func givenUpElsewhere() async throws {
        for _ in 0..<300 {
            let body = SpiedBody { number in number < 50 ? ByteBuffer(bytes: Self.coded) : nil }
            let response = try await CodedResponse("gzip", body).received()
            await withTaskGroup { group in
                group.addTask {
                    // Ends, in an error or (if the other comes too late) at the end.
                    _ = await response.body.readAll()
                }
                group.addTask { response.body.discard() }
            }
            // Twice where the decoder had given it up too, for what it grew to.
            #expect((1...2).contains(body.seen.abandonments))
        }
    }

    @Test("100,000 bodies abandoned during decoding leave nothing behind", .tags(.DC11))
    func leaks() async throws {
        let pipeline = try TestRoad { $0.decompression = DecompressionOptions() }.over(Endless(coded: Self.coded))
        func round(_ count: Int) async throws {
            for number in 0..<count {
                let response = try await pipeline(.get("/"), context: RequestContext())
                var iterator = response.body.makeAsyncIterator()
                #expect(try await iterator.next()?.readableBytes ?? 0 > 0)
                if number % 2 == 0 { response.body.discard() }
            }
        }
        // Permanent memory is allocated in the first rounds.
        try await round(1000)
        let growth = try await ProcessMemory.peakGrowth { try await round(100_000) }
        // Each leaked stream would keep 40 KiB.
        #expect(growth ?? 0 < 16 << 20)
    }

    private struct Endless: ServiceTransport {
        let coded: [UInt8]

        func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
            let body = ResponseBody(ByteBuffer(bytes: coded))
            return ServiceResponse(status: .ok, fields: [.contentEncoding: "gzip"], body: body)
        }
    }
}
