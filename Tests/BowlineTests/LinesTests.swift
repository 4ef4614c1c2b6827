import Bowline
import BowlineTesting
import NIOCore
import Testing

/// A body of these chunks. Counts the chunks that were asked for.
struct CutBody: AsyncSequence, Sendable {
    /// The number of chunks that were asked for.
    final class Count: Sendable {
        private let count = Guarded(0)

        var value: Int { count.withLock { $0 } }

        func add() { count.withLock { $0 += 1 } }
    }

    let chunks: [[UInt8]]
    let asked = Count()

    struct AsyncIterator: AsyncIteratorProtocol {
        var rest: ArraySlice<[UInt8]>
        let asked: Count

        mutating func next() async throws -> ByteBuffer? {
            asked.add()
            return rest.popFirst().map { ByteBuffer(bytes: $0) }
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(rest: chunks[...], asked: asked) }

    /// The stream whole, in single bytes, cut once at each place, and cut twice where it is short; with and without
    /// empty chunks.
    static func everyCut(_ bytes: [UInt8]) -> [[[UInt8]]] {
        var cuts: [[[UInt8]]] = [[bytes], bytes.map { [$0] }, bytes.flatMap { [[], [$0]] as [[UInt8]] }]
        for first in 0...bytes.count {
            cuts.append([Array(bytes[..<first]), Array(bytes[first...])])
            guard bytes.count <= 40 else { continue }
            for second in first...bytes.count {
                cuts.append([Array(bytes[..<first]), Array(bytes[first..<second]), Array(bytes[second...])])
            }
        }
        return cuts
    }
}

extension AsyncSequence {
    /// The elements of a sequence, and the error that ends it.
    func outcome() async -> (elements: [Element], error: (any Error)?) {
        var elements: [Element] = []
        do {
            for try await element in self { elements.append(element) }
            return (elements, nil)
        } catch {
            return (elements, error)
        }
    }
}

@Suite("Lines of a body", .timeLimit(.minutes(1)))
struct LinesTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let bytes: [UInt8]
        let lines: [String]
        var testDescription: String { String(decoding: bytes, as: UTF8.self).debugDescription }

        init(_ text: String, _ lines: String...) {
            bytes = Array(text.utf8)
            self.lines = lines
        }

        init(bytes: [UInt8], _ lines: String...) {
            self.bytes = bytes
            self.lines = lines
        }
    }

    static let cases: [Case] = [
        Case(""), Case("a", "a"), Case("a\n", "a"), Case("a\nb", "a", "b"), Case("a\r\nb\r\n", "a", "b"),
        Case("\n", ""),
        Case("\n\n", "", ""), Case("\r\n\r\na", "", "", "a"), Case("a\rb\nc", "a\rb", "c"),
        Case("a\r\r\nb", "a\r", "b"),
        Case("a\r", "a\r"), Case("\n\r\n", "", ""), Case("a\n\rb\n", "a", "\rb"),
        Case("ä\u{1F600}\n\u{2028}\n", "ä\u{1F600}", "\u{2028}"),
        Case("\u{FEFF}a\n\u{FEFF}b", "a", "\u{FEFF}b"), Case("\u{FEFF}"), Case("\u{FEFF}\n", ""),
        Case("\u{FEFF}a", "a"),
        Case(bytes: [0xEF, 0xBB], "\u{FFFD}"), Case(bytes: [0x61, 0xFF, 0x0A, 0xC3, 0x0A], "a\u{FFFD}", "\u{FFFD}"),
        Case("a\0b\n", "a\0b"),
    ]

    @Test(
        "Lines end in LF and CRLF, wherever the chunks end; a byte order mark at the beginning is dropped",
        arguments: cases)
    func lines(example: Case) async {
        for chunks in CutBody.everyCut(example.bytes) {
            let (lines, error) = await ResponseBody(CutBody(chunks: chunks)).lines().outcome()
            #expect(lines == example.lines, "\(chunks)")
            #expect(error == nil, "\(chunks)")
        }
    }

    @Test(
        "A line of maximum length passes; a longer one is bodyTooLarge after the lines before it, wherever chunks end",
        arguments: [
            ("abc\nabc\r\nabc", 3, ["abc", "abc", "abc"], true), ("abc\nabcd\nx\n", 3, ["abc"], false),
            ("abc\nabcd\r\n", 3, ["abc"], false), ("abc\nabcd", 3, ["abc"], false), ("abc\r\r\n", 3, [], false),
            ("abc\r", 3, [], false), ("abc\r", 4, ["abc\r"], true), ("\n\r\n", 0, ["", ""], true), ("a", 0, [], false),
            ("\n", -5, [""], true),
            ("abc\n", Int.max, ["abc"], true),
        ])
    func maximum(text: String, maximum: Int, expected: [String], isWell: Bool) async {
        for chunks in CutBody.everyCut(Array(text.utf8)) {
            let body = ResponseBody(CutBody(chunks: chunks))
            let (lines, error) = await body.lines(maximum: maximum).outcome()
            #expect(lines == expected, "\(chunks)")
            #expect((error == nil) == isWell, "\(chunks)")
            guard !isWell else { continue }
            let found = error as? ServiceError
            #expect(found?.code == .bodyTooLarge)
            #expect(found?.progress == .responseStarted)
            #expect(found?.phase == .receivingBody)
            #expect(found?.message == "a line of the response body is longer than \(maximum) bytes")
        }
    }

    @Test("A line without an end is refused as soon as it is too long")
    func endless() async {
        let source = CutBody(chunks: Array(repeating: Array(repeating: 0x61, count: 1000), count: 1000))
        let (lines, error) = await ResponseBody(source).lines(maximum: 4500).outcome()
        #expect(lines.isEmpty)
        #expect((error as? ServiceError)?.code == .bodyTooLarge)
        #expect(source.asked.value == 5)
    }

    @Test("The sequence asks for a chunk only when a line needs it")
    func backPressure() async throws {
        let source = CutBody(chunks: [Array("a\nb\nc".utf8), Array("d\n".utf8), Array("e\n".utf8)])
        let lines = ResponseBody(source).lines()
        var iterator = lines.makeAsyncIterator()
        #expect(source.asked.value == 0)
        var seen: [String] = []
        for asked in [1, 1, 2, 3] {
            seen.append(try #require(try await iterator.next()))
            #expect(source.asked.value == asked)
        }
        #expect(seen == ["a", "b", "cd", "e"])
        #expect(try await iterator.next() == nil)
        #expect(try await iterator.next() == nil)
    }

    @Test("The body is read once: a second reader, of lines or bytes, gets an error")
    func once() async throws {
        let body = ResponseBody(ByteBuffer(string: "a\nb"))
        var iterator = body.lines().makeAsyncIterator()
        #expect(try await iterator.next() == "a")
        #expect((await body.lines().outcome().error as? ServiceError)?.code == .bodyAlreadyConsumed)
        await #expect(throws: ServiceError.self) { try await body.collect(upTo: 10) }
        #expect(try await iterator.next() == "b")
    }

    @Test("A body that fails does so after its whole lines; a partial line before the failure is not delivered")
    func failure() async throws {
        struct Broken: Error {}
        let (source, feed) = AsyncThrowingStream.makeStream(of: ByteBuffer.self)
        feed.yield(ByteBuffer(string: "a\nb"))
        feed.finish(throwing: Broken())
        var iterator = ResponseBody(source).lines().makeAsyncIterator()
        #expect(try await iterator.next() == "a")
        await #expect(throws: Broken.self) { try await iterator.next() }
        #expect(try await iterator.next() == nil)
    }

    // MARK: Values

    private struct Item: Decodable, Equatable {
        let id: Int
    }

    @Test("Each line is one value: blank lines are skipped, and the last line needs no end", arguments: ["\n", "\r\n"])
    func values(end: String) async {
        let text = ["{\"id\":1}", "", " \t", "{ \"id\" : 2 }", "{\"id\":3}"].joined(separator: end)
        for chunks in CutBody.everyCut(Array(text.utf8)) {
            let (items, error) = await ResponseBody(CutBody(chunks: chunks)).decodeLines(of: Item.self).outcome()
            #expect(items.map(\.id) == [1, 2, 3], "\(chunks)")
            #expect(error == nil, "\(chunks)")
        }
    }

    @Test(
        "A line that is no such value ends the sequence: the error has its number and path, and nothing of its content")
    func undecodable() async throws {
        let source = CutBody(
            chunks: ["{\"id\":1}\n\n{\"id\":\"canary\"}\n".utf8, "{\"id\":3}\n".utf8].map { Array($0) })
        let body = ResponseBody(source)
        var iterator = body.decodeLines(of: Item.self).makeAsyncIterator()
        #expect(try await iterator.next() == Item(id: 1))
        let error = await #expect(throws: ServiceError.self) { try await iterator.next() }
        #expect(error?.code == .decodingFailed)
        #expect(error?.message == "line 3: cannot decode Item: not Int at id")
        #expect(error?.description.contains("canary") == false)
        #expect(try await iterator.next() == nil)
        #expect(source.asked.value == 1)
        #expect(
            (await body.decodeLines(of: Item.self, maximum: 3).outcome().error as? ServiceError)?.code
                == .bodyAlreadyConsumed)
    }

    @Test("A client's decoder decodes its lines, and the caller's own decoder wins")
    func decoders() async throws {
        struct Fixed: BodyDecoder {
            let contentType = "text/plain"
            let number: Int

            func decodeBody<Value: Decodable>(_ type: Value.Type, from body: ByteBuffer) throws -> Value {
                guard let value = number as? Value else { throw CancellationError() }
                return value
            }
        }
        let stub = StubTransport()
        stub.on(.get, "/a", always: .respond(.ok, body: "x\ny\n"))
        let client = try ServiceClient(baseURL: "http://api.example", transport: stub) { $0.decoder = Fixed(number: 7) }
        let first = try await client.get("a").body.decodeLines(of: Int.self).outcome()
        #expect(first.elements == [7, 7])
        #expect(first.error == nil)
        let second = try await client.get("a").body.decodeLines(of: Int.self, using: Fixed(number: 8)).outcome()
        #expect(second.elements == [8, 8])
        let wrong = try await client.get("a").body.decodeLines(of: String.self).outcome()
        #expect((wrong.error as? ServiceError)?.code == .decodingFailed)
    }

    @Test("Over a socket a line arrives before the body ends; cancelling the reader closes the connection")
    func cancelled() async throws {
        try await withLoopbackServer { server in
            let closed = server.answerUntilClosed(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\none\nt\r\n")
            let client = try ServiceClient(baseURL: server.baseURL)
            let response = try await client.get("/")
            let (lines, line) = AsyncStream.makeStream(of: String.self)
            let reader = Task {
                for try await text in response.body.lines() { line.yield(text) }
            }
            for await text in lines {
                #expect(text == "one")
                break
            }
            reader.cancel()
            await #expect(throws: CancellationError.self) { try await reader.value }
            try await closed.wait()
            #expect(await client.shutdown(within: .seconds(5)).isClean)
        }
    }

    @Test("Over a socket a line that is too long closes the connection, though its body never ends")
    func tooLongOverSocket() async throws {
        try await withLoopbackServer { server in
            let closed = server.answerUntilClosed("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nabc\nabcdef")
            let client = try ServiceClient(baseURL: server.baseURL)
            let response = try await client.get("/")
            let (lines, error) = await response.body.lines(maximum: 5).outcome()
            #expect(lines == ["abc"])
            let found = error as? ServiceError
            #expect(found?.code == .bodyTooLarge)
            #expect(found?.attempts == 1)
            let origin = try ServiceURL(server.baseURL).origin.description
            #expect(found?.origin == origin)
            try await closed.wait()
            #expect(await client.shutdown(within: .seconds(5)).isClean)
        }
    }

    @Test("A custom body that ends when it is cancelled does not deliver a partial line")
    func cancelledByHand() async {
        let (source, feed) = AsyncStream.makeStream(of: ByteBuffer.self)
        feed.yield(ByteBuffer(string: "a\npart"))
        let (lines, line) = AsyncStream.makeStream(of: String.self)
        let reader = Task {
            for try await text in ResponseBody(source).lines() { line.yield(text) }
        }
        for await _ in lines { break }
        reader.cancel()
        await #expect(throws: CancellationError.self) { try await reader.value }
        line.finish()
        #expect(await lines.outcome().elements.isEmpty)
    }
}
