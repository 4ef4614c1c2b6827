import BowlineTransport
import CorpusSupport
import HTTPTypes
import NIOCore
import Testing

/// The chunked coding of request bodies.
@Suite struct ChunkWriterTests {
    @Test(
        "RFC 9112 §7.1: a chunk's size is written in hexadecimal without leading zeros",
        arguments: [
            (1, "1"), (9, "9"), (10, "a"), (15, "f"), (16, "10"), (255, "ff"), (256, "100"), (65_536, "10000"),
            (0xABCDEF, "abcdef"), (Int.max, "7fffffffffffffff"),
        ]
    )
    func prefixes(count: Int, text: String) {
        var buffer = ByteBuffer()
        HTTP1RequestWriter.writeChunkPrefix(count: count, into: &buffer)
        #expect(String(buffer: buffer) == text + "\r\n")
    }

    @Test("Our own parser reads a chunked body with trailers back unchanged")
    func roundTrip() throws {
        var buffer = ByteBuffer(string: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        var body: [UInt8] = []
        for count in [1, 15, 16, 17, 4_096] {
            let data = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
            HTTP1RequestWriter.writeChunkPrefix(count: count, into: &buffer)
            buffer.writeBytes(data)
            HTTP1RequestWriter.writeChunkSuffix(into: &buffer)
            body += data
        }
        let name = try #require(HTTPField.Name("X-Checksum"))
        HTTP1RequestWriter.writeLastChunk(trailers: try CheckedTrailers([name: "abc"]), into: &buffer)
        var reader = ResponseReader(to: .other)
        reader.receive(buffer)
        #expect(reader.observation.body == body)
        #expect(reader.observation.trailers.map(\.description) == ["X-Checksum: abc"])
        #expect(reader.observation.leftover == 0)
    }

    @Test("The last chunk without trailers is five bytes", arguments: [nil, HTTPFields()])
    func lastChunk(trailers: HTTPFields?) throws {
        var buffer = ByteBuffer()
        HTTP1RequestWriter.writeLastChunk(trailers: try trailers.map { try CheckedTrailers($0) }, into: &buffer)
        #expect(String(buffer: buffer) == "0\r\n\r\n")
    }

    @Test(
        "RFC 9110 §6.5.1: fields that frame, route or authenticate are refused as trailers",
        arguments: [
            "Content-Length", "TRANSFER-ENCODING", "Host", "Connection", "Trailer", "Authorization", "Cookie",
            "Set-Cookie",
            "Content-Encoding", "Content-Type", "Content-Range", "If-Match", "Expect", "TE", "Upgrade", "Range",
        ]
    )
    func forbiddenTrailers(name: String) throws {
        let name = try #require(HTTPField.Name(name))
        let error = #expect(throws: RequestCheckError.self) { try CheckedTrailers([name: "x"]) }
        #expect(error?.reason == .forbiddenTrailer)
        #expect(error?.description == "the field may not be sent as a trailer (field \(name.rawName))")
    }

    @Test("a control character in a trailer is refused", .tags(.H1d))
    func invalidTrailers() throws {
        let name = try #require(HTTPField.Name("X"))
        var trailers = HTTPFields()
        trailers.append(HTTPField(name: name, lenientValue: [0x61, 0x01]))
        let error = #expect(throws: RequestCheckError.self) { try CheckedTrailers(trailers) }
        #expect(error?.description == "the field value has a control character (field X)")
    }
}
