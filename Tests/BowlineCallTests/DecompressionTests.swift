import BowlineCall
import BowlineCore
import BowlineTesting
import CorpusSupport
import NIOCore
import Testing

@Suite("Decompression", .timeLimit(.minutes(5)))
struct DecompressionTests {
    private static let text = Array(String(repeating: "hello hello world\n", count: 20).utf8)

    @Test(
        "Each coding yields the original bytes, in whatever pieces the coded bytes arrive", .tags(.DC1),
        arguments: CodedBytes.Envelope.allCases, [1, 2, 3, 1000, .max]
    )
    func roundTrip(envelope: CodedBytes.Envelope, pieces: Int) async throws {
        var random = SeededRandom.fromEnvironment()
        for count in [0, 1, 255, 16_384, 16_385, 70_000] {
            // Half noise, half not: blocks of several kinds.
            let bytes = (0..<count).map { $0 % 200 < 100 ? UInt8(truncatingIfNeeded: random.next()) : 7 }
            let response = CodedResponse(
                envelope.contentCoding, CodedBytes.encode(bytes, as: envelope), inPiecesOf: pieces)
            let read = await (try response.received()).body.readAll()
            #expect(read.error == nil)
            #expect(read.bytes == bytes, "\(count) bytes")
        }
    }

    @Test(
        "a coding's name counts in any case and as x-gzip", .tags(.DC6),
        arguments: ["GZip", "x-gzip", "X-GZIP", " gzip\t"])
    func names(name: String) async throws {
        let response = try await CodedResponse(name, CodedBytes.encode(Self.text, as: .gzip)).received()
        #expect(await response.body.readAll().bytes == Self.text)
        #expect(response.facts.removedCodings == ["gzip"])
    }

    @Test(
        "A body with an unknown coding, such as zstd, or with too many codings stays as received, with its fields",
        .tags(.DC6, .DC5, .DC9),
        arguments: [
            "br", "zstd", "compress", "gzip, br", "br, gzip", "gzip, gzip, gzip, gzip, gzip, gzip", "identity", "gzipp",
            "gzip;q=1", "*", ",",
        ])
    func leftAlone(coding: String) async throws {
        let coded = CodedBytes.encode(Self.text, as: .gzip)
        let response = try await CodedResponse(coding, coded).received()
        #expect(response.fields[.contentEncoding] == coding)
        #expect(response.fields[.contentLength] == String(coded.count))
        #expect(response.facts.removedCodings == [])
        #expect(await response.body.readAll().bytes == coded)
    }

    @Test("up to five codings on top of each other are undone, in one line or several", .tags(.DC5), arguments: 1...5)
    func chains(count: Int) async throws {
        var names: [String] = []
        var coded = Self.text
        for index in 0..<count {
            let envelope = CodedBytes.Envelope.allCases[index % 3]
            coded = CodedBytes.encode(coded, as: envelope)
            names.append(envelope.contentCoding)
        }
        for isInLines in [false, true] {
            for pieces in [1, 7, Int.max] {
                var made = CodedResponse("", coded, inPiecesOf: pieces)
                made.fields[values: .contentEncoding] =
                    isInLines ? names : [names.joined(separator: " ,, ") + ", identity"]
                let response = try await made.received()
                #expect(response.facts.removedCodings == names)
                #expect(await response.body.readAll().bytes == Self.text)
            }
        }
    }

    @Test(
        "a gzip body of several members, empty ones among them, is decoded whole", .tags(.DC3), arguments: [1, 5, .max])
    func members(pieces: Int) async throws {
        let parts = [Self.text, [], Array("and on".utf8), [], []]
        let coded = parts.flatMap { CodedBytes.encode($0, as: .gzip) }
        let read = await (try CodedResponse("gzip", coded, inPiecesOf: pieces).received()).body.readAll()
        #expect(read.error == nil)
        #expect(read.bytes == parts.flatMap { $0 })
    }

    @Test(
        "A response with nothing to decode, or with only part of a body, stays as received", .tags(.DC4, .DC10),
        arguments: [
            (HTTPRequest.Method.head, 200, 0), (.get, 204, 0), (.get, 304, 0), (.get, 206, 20), (.get, 200, 0),
            (.post, 500, 0),
        ])
    func nothingToDecode(method: HTTPRequest.Method, status: Int, count: Int) async throws {
        let part = Array(CodedBytes.encode(Self.text, as: .gzip).dropFirst(10).prefix(count))
        var made = CodedResponse("gzip", SpiedBody([]))
        made.status = HTTPResponse.Status(code: status)
        made.body = ResponseBody(ByteBuffer(bytes: part))
        let response = try await made.received(by: ServiceRequest(method: method, "/coded"))
        #expect(response.fields[.contentEncoding] == "gzip")
        #expect(response.facts.removedCodings == [])
        let read = await response.body.readAll()
        #expect(read.error == nil)
        #expect(read.bytes == part)
    }

    @Test("a body that turns out to be empty ends cleanly", .tags(.DC4))
    func emptyAfterAll() async throws {
        let read = await (try CodedResponse("gzip, deflate", SpiedBody([])).received()).body.readAll()
        #expect(read.error == nil)
        #expect(read.bytes.isEmpty)
    }

    @Test("The fields that describe the coded body are removed and recorded; the other fields stay", .tags(.DC10))
    func removedFields() async throws {
        var made = CodedResponse("deflate, gzip", SpiedBody([1, 2, 3]))
        made.fields[.contentLength] = "3"
        made.fields[.eTag] = "\"x\""
        made.fields[.contentType] = "text/plain"
        let response = try await made.received()
        #expect(response.fields == [.eTag: "\"x\"", .contentType: "text/plain"])
        #expect(response.facts.removedCodings == ["deflate", "gzip"])
        #expect(response.body.announcedLength == nil)
    }

    @Test("gzip and deflate are offered unless the caller says what it accepts, or wants a range", .tags(.DC10))
    func offer() async throws {
        let cases: [(HTTPFields, DecompressionOptions, String?)] = [
            ([:], DecompressionOptions(), "gzip, deflate"),
            ([.accept: "text/plain"], DecompressionOptions(), "gzip, deflate"),
            ([.acceptEncoding: "identity"], DecompressionOptions(), "identity"),
            ([.acceptEncoding: ""], DecompressionOptions(), ""),
            ([.range: "bytes=0-9"], DecompressionOptions(), nil),
            ([:], .off, nil),
        ]
        for (fields, options, expected) in cases {
            let stub = StubTransport()
            stub.on(.get, "/", always: .respond())
            let pipeline = try TestRoad { $0.decompression = options }.over(stub)
            _ = try await pipeline(ServiceRequest(method: .get, "/", fields: fields), context: RequestContext())
            #expect(stub.calls.first?.request.fields[.acceptEncoding] == expected)
            var others = try #require(stub.calls.first?.request.fields)
            others[.acceptEncoding] = nil
            var given = fields
            given[.acceptEncoding] = nil
            #expect(others == given)
        }
    }

    @Test("A request's own options override the client's, in both directions")
    func ownOptions() async throws {
        let coded = CodedBytes.encode(Self.text, as: .gzip)
        var request = ServiceRequest.get("/coded")
        request.options.decompression = .off
        #expect(await (try CodedResponse("gzip", coded).received(by: request)).body.readAll().bytes == coded)
        request.options.decompression.isEnabled = true
        let decoded = try await CodedResponse("gzip", coded).received(by: request, options: .off)
        #expect(await decoded.body.readAll().bytes == Self.text)
    }

    @Test("Trailers are available after the decoded body has been read to its end")
    func trailers() async throws {
        let coded = SpiedBody(CodedBytes.encode(Self.text, as: .gzip), trailers: [.eTag: "t"])
        let response = try await CodedResponse("gzip", coded).received()
        #expect(response.body.trailers == nil)
        #expect(await response.body.readAll().error == nil)
        #expect(response.body.trailers?[.eTag] == "t")
    }

    @Test("a body can be read once, decoded or not")
    func readOnce() async throws {
        let response = try await CodedResponse("gzip", CodedBytes.encode(Self.text, as: .gzip)).received()
        #expect(await response.body.readAll().error == nil)
        #expect((await response.body.readAll().error as? ServiceError)?.code == .bodyAlreadyConsumed)
    }
}
