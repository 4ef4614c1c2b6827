import BowlineTransport
import NIOCore
import Testing

/// What the writer puts on the wire, byte by byte, and how it splits.
@Suite struct HTTP2FrameWriterTests {
    private func written(_ write: (inout HTTP2FrameWriter) -> Void) -> [UInt8] {
        var writer = HTTP2FrameWriter()
        write(&writer)
        let count = writer.byteCount
        let bytes = writer.take().map { Array($0.readableBytesView) } ?? []
        #expect(bytes.count == count)
        #expect(writer.byteCount == 0)
        let nothing = writer.take()
        #expect(nothing == nil)
        return bytes
    }

    /// A frame and its bytes.
    struct Drawing: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let write: @Sendable (inout HTTP2FrameWriter) -> Void

        init(_ name: String, _ bytes: [UInt8], _ write: @escaping @Sendable (inout HTTP2FrameWriter) -> Void) {
            (testDescription, self.bytes, self.write) = (name, bytes, write)
        }
    }

    static let drawings: [Drawing] = [
        Drawing("the preface", Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)) { $0.preface() },
        Drawing("SETTINGS without entries", [0, 0, 0, 4, 0, 0, 0, 0, 0]) { $0.settings([]) },
        Drawing("SETTINGS", [0, 0, 12, 4, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]) {
            $0.settings([
                HTTP2SettingEntry(identifier: 2, value: 0), HTTP2SettingEntry(identifier: 4, value: 0x0102_0304),
            ])
        },
        Drawing("an acknowledgement of SETTINGS", [0, 0, 0, 4, 1, 0, 0, 0, 0]) { $0.settingsAcknowledgement() },
        Drawing("PING", [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]) { $0.ping(0x0102_0304_0506_0708) },
        Drawing("an answer to PING", [0, 0, 8, 6, 1, 0, 0, 0, 0, 0xFF, 0xFE, 0xFD, 0xFC, 0, 0, 0, 1]) {
            $0.pong(0xFFFE_FDFC_0000_0001)
        },
        Drawing("RST_STREAM", [0, 0, 4, 3, 0, 1, 2, 3, 5, 0, 0, 0, 7]) {
            $0.reset(stream: 0x0102_0305, code: .refusedStream)
        },
        Drawing("GOAWAY", [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 11]) {
            $0.goAway(lastStream: 0x7FFF_FFFF, code: .enhanceYourCalm)
        },
        Drawing("WINDOW_UPDATE of the connection", [0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF]) {
            $0.windowUpdate(stream: 0, increment: 0x7FFF_FFFF)
        },
        Drawing("WINDOW_UPDATE of a stream", [0, 0, 4, 8, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1]) {
            $0.windowUpdate(stream: 0x7FFF_FFFF, increment: 1)
        },
        Drawing("DATA", [0, 0, 2, 0, 0, 0, 0, 0, 1, 97, 98]) {
            $0.data(ByteBuffer(string: "ab"), stream: 1, endsStream: false, maximumFrameSize: 16_384)
        },
        Drawing("DATA that ends its stream", [0, 0, 0, 0, 1, 0, 0, 1, 1]) {
            $0.data(ByteBuffer(), stream: 257, endsStream: true, maximumFrameSize: 16_384)
        },
        Drawing("HEADERS that end their stream", [0, 0, 2, 1, 5, 0, 0, 0, 3, 0x82, 0x84]) {
            $0.headers(stream: 3, endsStream: true, maximumFrameSize: 16_384) { $0.writeBytes([0x82, 0x84]) }
        },
        Drawing("HEADERS without fields", [0, 0, 0, 1, 4, 0, 0, 0, 3]) {
            $0.headers(stream: 3, endsStream: false, maximumFrameSize: 16_384) { _ in }
        },
    ]

    @Test("§6: each frame is written as the RFC draws it", arguments: drawings)
    func literally(drawing: Drawing) {
        #expect(written(drawing.write) == drawing.bytes)
    }

    struct Split: Sendable, CustomTestStringConvertible {
        let length: Int
        let size: Int
        let fragments: [Int]
        var testDescription: String { "\(length) bytes at \(size)" }

        init(_ length: Int, at size: Int, _ fragments: [Int]) {
            (self.length, self.size, self.fragments) = (length, size, fragments)
        }
    }

    /// Lengths around the multiples of a size, and what the fragments then measure.
    static let splits: [Split] = [
        Split(0, at: 100, [0]), Split(1, at: 100, [1]), Split(99, at: 100, [99]), Split(100, at: 100, [100]),
        Split(101, at: 100, [100, 1]), Split(199, at: 100, [100, 99]), Split(200, at: 100, [100, 100]),
        Split(201, at: 100, [100, 100, 1]), Split(3, at: 1, [1, 1, 1]), Split(0, at: 1, [0]),
        Split(20, at: 7, [7, 7, 6]), Split(16_384, at: 16_384, [16_384]), Split(16_385, at: 16_384, [16_384, 1]),
        Split(32_768, at: 16_384, [16_384, 16_384]), Split(200_000, at: 65_536, [65_536, 65_536, 65_536, 3_392]),
    ]

    @Test(
        "§6.10: a section is split at the peer's maximum, END_HEADERS in the last frame, END_STREAM in HEADERS",
        arguments: splits)
    func splitSections(split: Split) {
        let block = (0..<split.length).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        for endsStream in [false, true] {
            var expected = frameBytes(6, [0, 0, 0, 0, 0, 0, 0, 9])
            var start = 0
            for (index, count) in split.fragments.enumerated() {
                var flags: UInt8 = index == split.fragments.count - 1 ? 4 : 0
                if index == 0, endsStream { flags |= 1 }
                expected += frameBytes(index == 0 ? 1 : 9, flags: flags, stream: 5, Array(block[start..<start + count]))
                start += count
            }
            expected += frameBytes(3, stream: 5, [0, 0, 0, 8])
            var returned = -1
            let bytes = written { writer in
                writer.ping(9)
                returned = writer.headers(stream: 5, endsStream: endsStream, maximumFrameSize: split.size) {
                    $0.writeBytes(block)
                }
                writer.reset(stream: 5, code: .cancel)
            }
            #expect(bytes == expected)
            #expect(returned == split.length)
        }
    }

    @Test("§6.1: a body is split at the peer's maximum, END_STREAM in the last frame", arguments: splits)
    func splitData(split: Split) {
        let body = (0..<split.length).map { UInt8(truncatingIfNeeded: $0 &* 17 &+ $0 >> 8) }
        var buffer = ByteBuffer(bytes: [1, 2, 3] + body)
        buffer.moveReaderIndex(forwardBy: 3)
        for endsStream in [false, true] {
            var expected: [UInt8] = []
            var start = 0
            for (index, count) in split.fragments.enumerated() {
                let isLast = index == split.fragments.count - 1
                expected += frameBytes(
                    0, flags: isLast && endsStream ? 1 : 0, stream: 5, Array(body[start..<start + count]))
                start += count
            }
            let bytes = written { $0.data(buffer, stream: 5, endsStream: endsStream, maximumFrameSize: split.size) }
            #expect(bytes == expected)
        }
    }

    @Test("What the writer writes, the parser reads")
    func roundTrip() throws {
        var writer = HTTP2FrameWriter()
        let block = ByteBuffer(bytes: (0..<50_000).map { UInt8(truncatingIfNeeded: $0) })
        let entries = [HTTP2SettingEntry(identifier: 1, value: .max), HTTP2SettingEntry(identifier: .max, value: 0)]
        writer.settings(entries)
        writer.settingsAcknowledgement()
        writer.ping(.max)
        writer.pong(0)
        writer.headers(stream: 7, endsStream: false, maximumFrameSize: 16_384) { $0.writeImmutableBuffer(block) }
        writer.data(ByteBuffer(string: "body"), stream: 7, endsStream: true, maximumFrameSize: 16_384)
        writer.windowUpdate(stream: 7, increment: 12_345)
        writer.reset(stream: 7, code: HTTP2ErrorCode(rawValue: .max))
        writer.goAway(lastStream: 7, code: .http11Required)
        var reader = FrameReader(afterSettings: false)
        let bytes = writer.take()
        reader.receive(try #require(bytes))
        #expect(reader.violation == nil)
        #expect(
            reader.frames == [
                .settings(entries), .settingsAcknowledgement, .ping(.max), .pong(0),
                .headers(stream: 7, block: block, endsStream: false),
                .data(stream: 7, bytes: ByteBuffer(string: "body"), windowBytes: 4, endsFrame: true, endsStream: true),
                .windowUpdate(stream: 7, increment: 12_345), .reset(stream: 7, code: HTTP2ErrorCode(rawValue: .max)),
                .goAway(lastStream: 7, code: .http11Required),
            ])
    }

    @Test("A buffer that was taken stays unchanged while the writer continues")
    func takenStays() throws {
        var writer = HTTP2FrameWriter()
        var taken: [ByteBuffer] = []
        for value in 0..<20 as Range<UInt64> {
            writer.ping(value)
            if value % 4 == 3 {
                writer.data(
                    ByteBuffer(repeating: 7, count: 40_000), stream: 1, endsStream: false, maximumFrameSize: 16_384)
            }
            let given = writer.take()
            let bytes = try #require(given)
            // Some are released at once, so that their memory is used again.
            if value % 2 == 1 { taken.append(bytes) }
        }
        for (index, buffer) in taken.enumerated() {
            let value = UInt8(index * 2 + 1)
            #expect(Array(buffer.readableBytesView.prefix(17)) == frameBytes(6, [0, 0, 0, 0, 0, 0, 0, value]))
            #expect(buffer.readableBytes == (value % 4 == 3 ? 17 + 40_000 + 27 : 17))
        }
    }
}
