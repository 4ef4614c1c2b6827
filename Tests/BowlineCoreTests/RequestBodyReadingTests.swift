import BowlineCore
import NIOCore
import Testing

@Suite("Reading a request's body", .timeLimit(.minutes(1)))
struct RequestBodyReadingTests {
    private struct Broken: Error {}

    /// Chunks of these sizes, followed by an optional failure.
    private struct Sizes: AsyncSequence, Sendable {
        var sizes: [Int]
        var fails = false

        struct AsyncIterator: AsyncIteratorProtocol {
            var rest: ArraySlice<Int>
            let fails: Bool

            mutating func next() async throws -> ByteBuffer? {
                if let size = rest.popFirst() { return ByteBuffer(repeating: UInt8(ascii: "x"), count: size) }
                if fails { throw Broken() }
                return nil
            }
        }

        func makeAsyncIterator() -> AsyncIterator { AsyncIterator(rest: sizes[...], fails: fails) }
    }

    /// The sizes of the chunks.
    private func sizes(_ body: RequestBody) async throws -> [Int] {
        var sizes: [Int] = []
        for try await chunk in body.chunks { sizes.append(chunk.readableBytes) }
        return sizes
    }

    private func error(_ body: RequestBody) async -> ServiceError? {
        do {
            _ = try await sizes(body)
            return nil
        } catch {
            return error as? ServiceError
        }
    }

    @Test("Bytes in memory are available without reading, whatever made them; an empty body has none")
    func bytes() {
        #expect(RequestBody.none.bytes?.readableBytes == 0)
        #expect(RequestBody.text("abc").bytes.map { String(buffer: $0) } == "abc")
        #expect(RequestBody.bytes([1, 2]).bytes == ByteBuffer(bytes: [1, 2]))
        #expect(RequestBody.form(["a": "b c"]).bytes.map { String(buffer: $0) } == "a=b+c")
        #expect(RequestBody.text("abc").trailers { [:] }.bytes?.readableBytes == 3)
        #expect(RequestBody.replayable { Sizes(sizes: [1]) }.bytes == nil)
        #expect(RequestBody.stream(Sizes(sizes: [1])).bytes == nil)
    }

    @Test("Only a stream is reported as a stream")
    func isStream() {
        #expect(RequestBody.stream(Sizes(sizes: [1])).isStream)
        #expect(RequestBody.stream(Sizes(sizes: [1])).trailers { [:] }.isStream)
        #expect(!RequestBody.none.isStream)
        #expect(!RequestBody.text("a").isStream)
        #expect(!RequestBody.replayable { Sizes(sizes: [1]) }.isStream)
    }

    @Test("chunks are the bytes in order, none of them empty, any number of times")
    func replayable() async throws {
        #expect(try await sizes(.none) == [])
        #expect(try await sizes(.text("")) == [])
        let long = RequestBody.bytes(ByteBuffer(repeating: 1, count: 300_000))
        let made = RequestBody.replayable(length: 7) { Sizes(sizes: [0, 3, 0, 0, 4, 0]) }
        for _ in 0..<3 {
            #expect(try await sizes(long).reduce(0, +) == 300_000)
            #expect(try await sizes(made) == [3, 4])
        }
    }

    @Test("two readers of a replayable body do not disturb each other")
    func twoReaders() async throws {
        let body = RequestBody.replayable { Sizes(sizes: [1, 2, 3]) }
        var first = body.chunks.makeAsyncIterator()
        var second = body.chunks.makeAsyncIterator()
        var seen: [Int?] = []
        for _ in 0..<4 {
            seen.append(try await first.next()?.readableBytes)
            seen.append(try await second.next()?.readableBytes)
        }
        #expect(seen == [1, 1, 2, 2, 3, 3, nil, nil])
        #expect(try await first.next() == nil)
    }

    @Test("A stream of up to 64 KiB can be read and then sent; a longer one is used up, and the error says so")
    func stream() async throws {
        let short = RequestBody.stream(Sizes(sizes: [65_000, 536]))
        #expect(try await sizes(short) == [65_000, 536])
        #expect(short.isReplayable)
        #expect(try await sizes(short) == [65_000, 536])
        let long = RequestBody.stream(Sizes(sizes: [65_000, 537]))
        #expect(try await sizes(long) == [65_000, 537])
        #expect(!long.isReplayable)
        #expect(await error(long)?.code == .requestBodyConsumed)
        await #expect(throws: ServiceError.self) { _ = try await long.makeReader(replayLimit: 65_536) }
    }

    @Test("a stream that was read in part begins again at its first byte")
    func partlyRead() async throws {
        let body = RequestBody.stream(Sizes(sizes: [10, 20, 30]))
        var iterator = body.chunks.makeAsyncIterator()
        #expect(try await iterator.next()?.readableBytes == 10)
        #expect(try await sizes(body) == [10, 20, 30])
    }

    @Test(
        "Reading a body that is shorter or longer than its length fails, like sending it",
        arguments: [(5, "longer"), (7, "shorter"), (0, "longer")])
    func lengths(length: Int, what: String) async {
        for body in [
            RequestBody.replayable(length: length) { Sizes(sizes: [2, 4]) },
            .stream(Sizes(sizes: [2, 4]), length: length),
        ] {
            let error = await error(body)
            #expect(error?.code == .requestBodyLengthMismatch)
            #expect(error?.message.contains(what) == true)
        }
    }

    @Test("An error of the body's own sequence becomes requestBodyFailed with the error inside; then the body ends")
    func failing() async throws {
        let bodies = [
            RequestBody.replayable { Sizes(sizes: [2], fails: true) }, .stream(Sizes(sizes: [2], fails: true)),
            .replayable { () throws -> Sizes in throw Broken() },
        ]
        for body in bodies {
            let error = await error(body)
            #expect(error?.code == .requestBodyFailed)
            #expect(error?.underlying is Broken)
            #expect(error?.progress == .neverSent)
        }
        var iterator = bodies[0].chunks.makeAsyncIterator()
        #expect(try await iterator.next()?.readableBytes == 2)
        await #expect(throws: ServiceError.self) { try await iterator.next() }
        #expect(try await iterator.next() == nil)
    }

    @Test("Cancelling a reader that waits for a stream ends the reader; the next reader continues the stream")
    func cancelled() async throws {
        let (source, feed) = AsyncStream.makeStream(of: ByteBuffer.self)
        let body = RequestBody.stream(source)
        feed.yield(ByteBuffer(string: "abc"))
        let (began, begin) = AsyncStream.makeStream(of: Void.self)
        let reader = Task {
            for try await _ in body.chunks { begin.yield() }
        }
        for await _ in began { break }
        reader.cancel()
        await #expect(throws: CancellationError.self) { try await reader.value }
        feed.yield(ByteBuffer(string: "de"))
        feed.finish()
        #expect(try await sizes(body) == [3, 2])
    }
}
