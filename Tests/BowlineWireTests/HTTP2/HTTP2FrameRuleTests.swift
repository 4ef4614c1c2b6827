import BowlineTransport
import NIOCore
import Testing

/// Each rule of RFC 9113 §3.4, §4 and §6 that a frame alone can break: its code and its scope.
@Suite struct HTTP2FrameRuleTests {
    struct Rule: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let code: HTTP2ErrorCode
        let section: String
        let windowBytes: Int

        init(
            _ name: String, _ bytes: [UInt8], _ code: HTTP2ErrorCode, _ section: String, windowBytes: Int = 0
        ) {
            (testDescription, self.bytes, self.code, self.section) = (name, bytes, code, section)
            self.windowBytes = windowBytes
        }
    }

    private static let continuationBehindSection: [UInt8] =
        frameBytes(1, flags: 4, stream: 1, [0x88]) + frameBytes(9, stream: 1)
    private static let oversizedContinuation: [UInt8] =
        frameBytes(1, stream: 1, [0x88]) + frameBytes(9, stream: 1, length: 0xFF_FFFF)

    static let ofConnection: [Rule] = [
        Rule("DATA on stream 0", frameBytes(0, [1]), .protocolError, "6.1"),
        Rule("DATA padded by its length", frameBytes(0, flags: 8, stream: 1, [2, 0]), .protocolError, "6.1"),
        Rule("DATA padded by more", frameBytes(0, flags: 8, stream: 1, [255, 0, 0]), .protocolError, "6.1"),
        Rule("DATA of one byte, padded", frameBytes(0, flags: 8, stream: 1, [1]), .protocolError, "6.1"),
        Rule("oversized DATA on stream 0", frameBytes(0, length: 16_385), .frameSizeError, "4.2"),
        Rule("HEADERS on stream 0", frameBytes(1, flags: 4, [0x88]), .protocolError, "6.2"),
        Rule("HEADERS padded too much", frameBytes(1, flags: 12, stream: 1, [2, 0x88]), .protocolError, "6.2"),
        Rule(
            "HEADERS padded into the priority", frameBytes(1, flags: 44, stream: 1, [1, 0, 0, 0, 0, 0]), .protocolError,
            "6.2"),
        Rule("padded HEADERS, empty", frameBytes(1, flags: 12, stream: 1), .frameSizeError, "4.2"),
        Rule("HEADERS, priority cut", frameBytes(1, flags: 36, stream: 1, [0, 0, 0, 0]), .frameSizeError, "4.2"),
        Rule(
            "padded HEADERS, priority cut", frameBytes(1, flags: 44, stream: 1, [0, 0, 0, 0, 0]), .frameSizeError, "4.2"
        ),
        Rule("oversized HEADERS", frameBytes(1, stream: 1, length: 16_385), .frameSizeError, "4.2"),
        Rule("PRIORITY on stream 0", frameBytes(2, [0, 0, 0, 0, 0]), .protocolError, "6.3"),
        Rule("RST_STREAM on stream 0", frameBytes(3, [0, 0, 0, 8]), .protocolError, "6.4"),
        Rule("RST_STREAM of 3 bytes", frameBytes(3, stream: 1, [0, 0, 8]), .frameSizeError, "6.4"),
        Rule("RST_STREAM of 5 bytes", frameBytes(3, stream: 1, [0, 0, 0, 0, 8]), .frameSizeError, "6.4"),
        Rule("SETTINGS on a stream", frameBytes(4, stream: 1), .protocolError, "6.5"),
        Rule("SETTINGS of 5 bytes", frameBytes(4, [0, 1, 0, 0, 0]), .frameSizeError, "6.5"),
        Rule("SETTINGS ACK with a payload", frameBytes(4, flags: 1, [0, 1, 0, 0, 0, 0]), .frameSizeError, "6.5"),
        Rule("SETTINGS ACK on a stream", frameBytes(4, flags: 1, stream: 1), .protocolError, "6.5"),
        Rule("oversized SETTINGS", frameBytes(4, length: 16_386), .frameSizeError, "4.2"),
        Rule("PUSH_PROMISE on stream 0", frameBytes(5, flags: 4, [0, 0, 0, 2]), .protocolError, "6.6"),
        Rule("PUSH_PROMISE of 3 bytes", frameBytes(5, flags: 4, stream: 1, [0, 0, 2]), .frameSizeError, "4.2"),
        Rule(
            "padded PUSH_PROMISE of 4 bytes", frameBytes(5, flags: 12, stream: 1, [0, 0, 0, 2]), .frameSizeError, "4.2"),
        Rule(
            "PUSH_PROMISE padded too much", frameBytes(5, flags: 12, stream: 1, [1, 0, 0, 0, 2]), .protocolError, "6.6"),
        Rule("PING on a stream", frameBytes(6, stream: 1, [0, 0, 0, 0, 0, 0, 0, 0]), .protocolError, "6.7"),
        Rule("PING of 7 bytes", frameBytes(6, [0, 0, 0, 0, 0, 0, 0]), .frameSizeError, "6.7"),
        Rule("PING of 9 bytes", frameBytes(6, flags: 1, [0, 0, 0, 0, 0, 0, 0, 0, 0]), .frameSizeError, "6.7"),
        Rule("GOAWAY on a stream", frameBytes(7, stream: 1, [0, 0, 0, 0, 0, 0, 0, 0]), .protocolError, "6.8"),
        Rule("GOAWAY of 7 bytes", frameBytes(7, [0, 0, 0, 0, 0, 0, 0]), .frameSizeError, "6.8"),
        Rule("oversized GOAWAY", frameBytes(7, length: 16_385), .frameSizeError, "4.2"),
        Rule("WINDOW_UPDATE of 0 on the connection", frameBytes(8, [0x80, 0, 0, 0]), .protocolError, "6.9"),
        Rule("WINDOW_UPDATE of 3 bytes", frameBytes(8, stream: 1, [0, 0, 1]), .frameSizeError, "6.9"),
        Rule("WINDOW_UPDATE of 5 bytes", frameBytes(8, [0, 0, 0, 1, 0]), .frameSizeError, "6.9"),
        Rule("oversized PUSH_PROMISE", frameBytes(5, stream: 1, length: 16_385), .frameSizeError, "4.2"),
        Rule("oversized PING", frameBytes(6, length: 16_385), .frameSizeError, "4.2"),
        Rule("oversized RST_STREAM", frameBytes(3, stream: 1, length: 16_385), .frameSizeError, "4.2"),
        Rule("oversized CONTINUATION", oversizedContinuation, .frameSizeError, "4.2"),
        Rule("oversized WINDOW_UPDATE", frameBytes(8, stream: 1, length: 16_385), .frameSizeError, "4.2"),
        Rule("CONTINUATION on stream 0", frameBytes(9, flags: 4, [0x88]), .protocolError, "6.10"),
        Rule("CONTINUATION alone", frameBytes(9, flags: 4, stream: 1, [0x88]), .protocolError, "6.10"),
        Rule(
            "CONTINUATION behind a whole section",
            continuationBehindSection,
            .protocolError, "6.10"),
        Rule("oversized unknown frame on stream 0", frameBytes(0xA, length: 16_385), .frameSizeError, "4.2"),
    ]

    @Test(
        "§4, §6: a connection error has its code and section, and is final", .tags(.H2l),
        arguments: ofConnection)
    func connectionErrors(rule: Rule) throws {
        for sizes in [rule.bytes.count, 1] {
            var reader = FrameReader()
            for start in stride(from: 0, to: rule.bytes.count, by: sizes) {
                reader.receive(rule.bytes[start..<start + sizes])
            }
            let violation = try #require(reader.violation)
            #expect(violation.code == rule.code)
            #expect(violation.scope == .connection)
            #expect(violation.rule.description == "RFC 9113 §\(rule.section)")
            #expect(reader.parser.bufferedByteCount == 0)
            #expect(!reader.parser.isWithinFrame)

            let before = reader.frames
            reader.receive(frameBytes(6, [0, 0, 0, 0, 0, 0, 0, 1]))
            #expect(reader.violation == violation)
            #expect(reader.frames == before)
            #expect(reader.parser.bufferedByteCount == 0)
        }
    }

    static let ofStream: [Rule] = [
        Rule("padded DATA, empty", frameBytes(0, flags: 8, stream: 3), .frameSizeError, "4.2"),
        Rule(
            "oversized DATA", frameBytes(0, flags: 8, stream: 3, [UInt8](repeating: 9, count: 16_385)), .frameSizeError,
            "4.2", windowBytes: 16_385),
        Rule("PRIORITY of 4 bytes", frameBytes(2, stream: 3, [0, 0, 0, 0]), .frameSizeError, "6.3"),
        Rule("PRIORITY of 6 bytes", frameBytes(2, stream: 3, [0, 0, 0, 0, 0, 0]), .frameSizeError, "6.3"),
        Rule(
            "oversized PRIORITY", frameBytes(2, stream: 3, [UInt8](repeating: 9, count: 16_385)), .frameSizeError, "4.2"
        ),
        Rule("WINDOW_UPDATE of 0", frameBytes(8, stream: 3, [0, 0, 0, 0]), .protocolError, "6.9"),
        Rule("WINDOW_UPDATE of the reserved bit", frameBytes(8, stream: 3, [0x80, 0, 0, 0]), .protocolError, "6.9"),
        Rule(
            "oversized unknown frame", frameBytes(0xA, stream: 3, [UInt8](repeating: 9, count: 20_000)),
            .frameSizeError,
            "4.2"),
    ]

    @Test(
        "§4, §6: a stream error has its code and section, and the next frame is read", .tags(.H2l),
        arguments: ofStream)
    func streamErrors(rule: Rule) throws {
        let bytes = rule.bytes + frameBytes(6, [0, 0, 0, 0, 0, 0, 0, 1])
        for sizes in [bytes.count, 1] {
            var reader = FrameReader()
            for start in stride(from: 0, to: bytes.count, by: sizes) { reader.receive(bytes[start..<start + sizes]) }
            #expect(reader.violation == nil)
            try #require(reader.frames.count == 2)
            guard case .violation(let violation, let windowBytes) = reader.frames[0] else {
                Issue.record("\(reader.frames[0])")
                return
            }
            #expect(violation.code == rule.code)
            #expect(violation.scope == .stream(3))
            #expect(violation.rule.description == "RFC 9113 §\(rule.section)")
            #expect(windowBytes == rule.windowBytes)
            #expect(reader.frames[1] == .ping(1))
        }
    }

    @Test(
        "§3.4: the first frame must be SETTINGS without ACK",
        arguments: [
            frameBytes(4, flags: 1), frameBytes(6, [0, 0, 0, 0, 0, 0, 0, 1]), frameBytes(7, [0, 0, 0, 0, 0, 0, 0, 0]),
            frameBytes(8, [0, 0, 0, 1]), frameBytes(0xA), frameBytes(1, flags: 4, stream: 1, [0x88]),
            Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8),
        ])
    func preface(bytes: [UInt8]) {
        var reader = FrameReader(afterSettings: false)
        reader.receive(bytes)
        #expect(reader.frames.isEmpty)
        #expect(reader.violation?.code == .protocolError)
        #expect(reader.violation?.scope == .connection)
        #expect(reader.violation?.rule.description == "RFC 9113 §3.4")
    }

    @Test("§4.1: reserved bits, undefined flags and the priority's content change nothing")
    func ignored() {
        var reader = FrameReader()
        reader.receive(frameBytes(6, flags: 0xFE, stream: 0x8000_0000, [0, 0, 0, 0, 0, 0, 0, 1]))
        reader.receive(frameBytes(0, flags: 0xF6, stream: 0x8000_0001, [7]))
        reader.receive(frameBytes(1, flags: 0x24, stream: 5, [0, 0, 0, 5, 0, 0x88]))
        #expect(
            reader.frames == [
                .ping(1),
                .data(stream: 1, bytes: ByteBuffer(bytes: [7]), windowBytes: 1, endsFrame: true, endsStream: false),
                .headers(stream: 5, block: ByteBuffer(bytes: [0x88]), endsStream: false),
            ])
        #expect(reader.violation == nil)
    }

    @Test("§4.2: a frame of exactly the maximum size is accepted, whatever the maximum is")
    func maximumSize() {
        for maximum in [16_384, 100_000] {
            var limits = HTTP2FrameLimits()
            limits.maximumFrameSize = maximum
            var reader = FrameReader(limits: limits)
            let payload = [UInt8](repeating: 1, count: maximum)
            reader.receive(frameBytes(1, flags: 4, stream: 1, payload))
            reader.receive(frameBytes(0xA, payload))
            #expect(
                reader.frames == [
                    .headers(stream: 1, block: ByteBuffer(bytes: payload), endsStream: false),
                    .unknown(type: 0xA, stream: 0, length: maximum),
                ])
            reader.receive(frameBytes(1, flags: 4, stream: 1, payload + [1]))
            #expect(reader.violation?.code == .frameSizeError)
        }
    }

    @Test("A violation has the fault, the rule's section and the code's name")
    func descriptions() {
        let violation = HTTP2Violation(.protocolError, .connection, "a WINDOW_UPDATE of 0", rule: "RFC 9113 §6.9")
        #expect(violation.description == "a WINDOW_UPDATE of 0 (RFC 9113 §6.9, PROTOCOL_ERROR)")
        #expect(HTTP2ErrorCode(rawValue: 7).name == "REFUSED_STREAM")
        #expect(HTTP2ErrorCode(rawValue: 14).name == "error 14")
        #expect(HTTP2ErrorCode.http11Required.rawValue == 13)
        #expect(HTTP2ErrorCode.http11Required.name == "HTTP_1_1_REQUIRED")
    }
}
