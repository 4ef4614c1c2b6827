import BowlineCall
import BowlineCore
import BowlineTesting
import CorpusSupport
import NIOCore
import Testing

@Suite("Decompression of damaged bodies", .timeLimit(.minutes(5)))
struct DecompressionDamageTests {
    private static let text = Array(String(repeating: "hello hello world\n", count: 20).utf8)

    private static func read(
        _ bytes: [UInt8], _ coding: String, inPiecesOf size: Int = .max
    ) async throws -> (
        bytes: [UInt8], error: ServiceError?
    ) {
        let read = await (try CodedResponse(coding, bytes, inPiecesOf: size).received()).body.readAll()
        return (read.bytes, read.error as? ServiceError)
    }

    @Test(
        "A body that is cut off anywhere fails, even if the connection ended cleanly", .tags(.DC2),
        arguments: CodedBytes.Envelope.allCases)
    func truncation(envelope: CodedBytes.Envelope) async throws {
        let coded = CodedBytes.encode(Self.text, as: envelope)
        for count in 1..<coded.count {
            for pieces in [1, Int.max] {
                let read = try await Self.read(Array(coded[..<count]), envelope.contentCoding, inPiecesOf: pieces)
                #expect(read.error?.code == .decompressionFailed, "after \(count) of \(coded.count)")
                #expect(read.error?.progress == .responseStarted)
                #expect(Self.text.starts(with: read.bytes))
            }
        }
    }

    @Test("an inner coding that is cut off fails, though the outer one is whole", .tags(.DC2))
    func truncationInside() async throws {
        let inner = CodedBytes.encode(Self.text, as: .zlib)
        let coded = CodedBytes.encode(Array(inner.dropLast(1)), as: .gzip)
        #expect(try await Self.read(coded, "deflate, gzip").error?.code == .decompressionFailed)
    }

    @Test(
        "No flipped bit yields a valid body with other bytes", .tags(.DC2),
        arguments: [
            // Nothing checks the bytes of raw deflate.
            CodedBytes.Envelope.gzip, .zlib,
        ])
    func flippedBits(envelope: CodedBytes.Envelope) async throws {
        let coded = CodedBytes.encode(Self.text, as: envelope)
        for position in 0..<(coded.count * 8) {
            var damaged = coded
            damaged[position / 8] ^= 1 << (position % 8)
            let read = try await Self.read(damaged, envelope.contentCoding)
            if let error = read.error {
                // Wrong bytes may have been delivered before the error, because the checksum comes last.
                #expect(error.code == .decompressionFailed)
            } else {
                // A header field that says nothing about the bytes, such as the time.
                #expect(read.bytes == Self.text, "bit \(position)")
            }
        }
    }

    @Test(
        "A body that does not match its coding fails, and the error names the coding", .tags(.DC2),
        arguments: [
            ("gzip", Array("plain text".utf8)), ("gzip", CodedBytes.encode(text, as: .zlib)),
            ("deflate", CodedBytes.encode(text, as: .gzip)), ("deflate", Array("plain text".utf8)),
            // A preset dictionary that the client does not have.
            ("deflate", [0x78, 0x20, 0xAA, 0xAA]), ("deflate", [0x78, 0x9C, 0xFF, 0xFF, 0xFF, 0xFF]),
            ("gzip", [0x1F, 0x8B, 0x09, 0, 0, 0, 0, 0, 0, 3, 3, 0]),
        ])
    func mislabelled(coding: String, bytes: [UInt8]) async throws {
        for pieces in [1, Int.max] {
            let error = try #require(try await Self.read(bytes, coding, inPiecesOf: pieces).error)
            #expect(error.code == .decompressionFailed)
            #expect(error.message.contains(coding))
            #expect(!error.description.contains("plain text"))
        }
    }

    @Test(
        "zero bytes after gzip data are padding, after the last of several members too", .tags(.DC3),
        arguments: [1, 7, Int.max])
    func padding(pieces: Int) async throws {
        let member = CodedBytes.encode(Self.text, as: .gzip)
        for count in [1, 2, 511, 20_000] {
            let zeros = [UInt8](repeating: 0, count: count)
            for (coded, text) in [(member, Self.text), (member + member, Self.text + Self.text)] {
                let read = try await Self.read(coded + zeros, "gzip", inPiecesOf: pieces)
                #expect(read.error == nil, "\(count) zeros")
                #expect(read.bytes == text)
            }
            let twice = CodedBytes.encode(member + zeros, as: .gzip) + zeros
            let read = try await Self.read(twice, "gzip, gzip", inPiecesOf: pieces)
            #expect(read.error == nil)
            #expect(read.bytes == Self.text)
        }
    }

    @Test("zero bytes after deflate data, and before gzip data, are no padding", .tags(.DC2), arguments: [1, Int.max])
    func noPadding(pieces: Int) async throws {
        for envelope in CodedBytes.Envelope.allCases where envelope != .gzip {
            let coded = CodedBytes.encode(Self.text, as: envelope) + [0, 0]
            let read = try await Self.read(coded, envelope.contentCoding, inPiecesOf: pieces)
            #expect(read.error?.code == .decompressionFailed)
        }
        let late = [0, 0] + CodedBytes.encode(Self.text, as: .gzip)
        #expect(try await Self.read(late, "gzip", inPiecesOf: pieces).error?.code == .decompressionFailed)
    }

    @Test(
        "bytes after the coded data are an error, not a clean end", .tags(.DC2, .DC3),
        arguments: CodedBytes.Envelope.allCases, [1, .max])
    func trailingBytes(envelope: CodedBytes.Envelope, pieces: Int) async throws {
        for garbage in [
            [1], [0x1F], [0x1F, 0x8B], Array("GARBAGE".utf8), [0x1F, 0x8B, 0xFF, 0, 0, 0], [0, 0, 1],
            [UInt8](repeating: 0, count: 600) + [0x1F, 0x8B],
        ] {
            let coded = CodedBytes.encode(Self.text, as: envelope) + garbage
            let read = try await Self.read(coded, envelope.contentCoding, inPiecesOf: pieces)
            #expect(read.error?.code == .decompressionFailed, "\(garbage)")
            #expect(Self.text.starts(with: read.bytes))
        }
    }

    @Test(
        "Reading damaged coded bytes ends, either in a decompression error or with the original body",
        .tags(.DC2))
    func randomDamage() async throws {
        var random = SeededRandom.fromEnvironment()
        let codes: Set<ServiceError.Code> = [.decompressionFailed, .decompressionLimitExceeded]
        for _ in 0..<3000 {
            var coded = Self.text
            var names: [String] = []
            for _ in 0...random.next(in: 0..<4) {
                let envelope = CodedBytes.Envelope.allCases[random.next(in: 0..<2)]
                coded = CodedBytes.encode(coded, as: envelope)
                names.append(envelope.contentCoding)
            }
            for _ in 0..<random.next(in: 0..<4) {
                let place = random.next(in: 0..<coded.count)
                switch random.next(in: 0..<4) {
                case 0: coded[place] = UInt8(truncatingIfNeeded: random.next())
                case 1: coded.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
                case 2: coded.removeSubrange(place..<min(coded.count, place + random.next(in: 1..<9)))
                default: coded += coded[..<place]
                }
                if coded.isEmpty { break }
            }
            let read = try await Self.read(
                coded, names.joined(separator: ","), inPiecesOf: random.next(in: 1..<100))
            guard let error = read.error else {
                // Nothing at all is an empty body; a whole body may be followed by itself.
                #expect(read.bytes.isEmpty || read.bytes.starts(with: Self.text))
                continue
            }
            #expect(codes.contains(error.code))
        }
    }

    @Test("an error says which call failed: attempt, origin, phase")
    func circumstances() async throws {
        var request = ServiceRequest.get("/coded")
        request.url = try ServiceURL("http://user.example/coded?secret=1")
        var made = CodedResponse("gzip", [1, 2, 3])
        made.facts.attempts = 3
        made.facts.redirects = [try ServiceURL("http://other.example:81/coded?secret=1")]
        let error = await (try made.received(by: request)).body.readAll().error as? ServiceError
        #expect(error?.attempts == 3)
        #expect(error?.origin == "http://other.example:81")
        #expect(error?.phase == .receivingBody)
        #expect(error?.description.contains("secret") == false)
    }

    @Test("a failure of the network reaches the reader as it is")
    func failureBelow() async throws {
        let coded = CodedBytes.encode(Self.text, as: .gzip)
        let body = SpiedBody { number in
            guard number == 0 else { throw ServiceError(.incompleteBody, "cut", progress: .responseStarted) }
            return ByteBuffer(bytes: coded)
        }
        let read = await (try CodedResponse("gzip", body).received()).body.readAll()
        #expect(read.bytes == Self.text)
        #expect((read.error as? ServiceError)?.code == .incompleteBody)
    }

    @Test("A body that fails to decode is abandoned: the rest is not pulled from the network")
    func givenUp() async throws {
        let body = SpiedBody { _ in ByteBuffer(string: "not gzip at all") }
        let response = try await CodedResponse("gzip", body).received()
        var iterator = response.body.makeAsyncIterator()
        await #expect(throws: ServiceError.self) { try await iterator.next() }
        #expect(body.seen.pulls == 1)
        #expect(body.seen.abandonments == 1)
        #expect(try await iterator.next() == nil)
    }
}
