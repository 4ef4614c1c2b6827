import BowlineTransport
import NIOCore
import Testing

/// Field sections of several frames (RFC 9113 §6.10), and their bounds.
@Suite struct HTTP2FrameSectionTests {
    @Test(
        "§6.10: only CONTINUATION may follow within a field section",
        arguments: [
            frameBytes(0, stream: 1, [1]), frameBytes(1, flags: 4, stream: 1, [0x88]),
            frameBytes(2, stream: 1, [0, 0, 0, 0, 0]),
            frameBytes(3, stream: 1, [0, 0, 0, 8]), frameBytes(4), frameBytes(4, flags: 1),
            frameBytes(5, flags: 4, stream: 1, [0, 0, 0, 2]), frameBytes(6, [0, 0, 0, 0, 0, 0, 0, 1]),
            frameBytes(7, [0, 0, 0, 0, 0, 0, 0, 0]), frameBytes(8, [0, 0, 0, 1]),
            frameBytes(9, flags: 4, stream: 3, [0x88]),
            frameBytes(9, flags: 4, [0x88]), frameBytes(0xA, stream: 1), frameBytes(0, stream: 1, length: 20_000),
        ])
    func interrupted(bytes: [UInt8]) {
        for start in [frameBytes(1, stream: 1, [0x82]), frameBytes(5, stream: 1, [0, 0, 0, 2])] {
            var reader = FrameReader()
            reader.receive(start + frameBytes(9, stream: 1, [0x84]) + bytes)
            #expect(reader.frames.isEmpty)
            #expect(reader.violation?.code == .protocolError)
            #expect(reader.violation?.scope == .connection)
            #expect(reader.violation?.rule.description == "RFC 9113 §6.10")
            #expect(reader.parser.bufferedByteCount == 0)
        }
    }

    @Test("§6.2: END_STREAM counts on HEADERS, never on CONTINUATION; padding and priority are left out")
    func joined() {
        for endsStream in [false, true] {
            var reader = FrameReader()
            reader.receive(frameBytes(1, flags: endsStream ? 0x29 : 0x28, stream: 1, [1, 0, 0, 0, 0, 0, 0xA1, 0]))
            reader.receive(frameBytes(9, flags: 0xFB, stream: 1, [0xA2, 0xA3]))
            reader.receive(frameBytes(9, flags: 0xFF, stream: 1, [0xA4]))
            #expect(
                reader.frames == [
                    .headers(stream: 1, block: ByteBuffer(bytes: [0xA1, 0xA2, 0xA3, 0xA4]), endsStream: endsStream)
                ])
            #expect(reader.parser.bufferedByteCount == 0)
        }
    }

    @Test("§10.5: as many CONTINUATION frames as the limit are accepted, one more is not", .tags(.H2p))
    func continuations() {
        var limits = HTTP2FrameLimits()
        limits.maximumContinuations = 3
        for (count, isAccepted) in [(1, true), (3, true), (4, false)] {
            var reader = FrameReader(limits: limits)
            reader.receive(frameBytes(1, stream: 1, [1]))
            for index in 1...count { reader.receive(frameBytes(9, flags: index == count ? 4 : 0, stream: 1)) }
            #expect((reader.violation == nil) == isAccepted)
            #expect(reader.frames.count == (isAccepted ? 1 : 0))
            if !isAccepted { #expect(reader.violation?.code == .enhanceYourCalm) }
        }
    }

    @Test("§10.5: the limit applies to each section separately")
    func continuationsOfTwo() {
        var limits = HTTP2FrameLimits()
        limits.maximumContinuations = 2
        limits.maximumBlockBytes = 4
        var reader = FrameReader(limits: limits)
        for _ in 0..<3 {
            reader.receive(frameBytes(1, stream: 1, [1, 2]))
            reader.receive(frameBytes(9, stream: 1, [3]))
            reader.receive(frameBytes(9, flags: 4, stream: 1, [4]))
        }
        #expect(reader.violation == nil)
        let whole = HTTP2ReceivedFrame.headers(
            stream: 1, block: ByteBuffer(bytes: [1, 2, 3, 4]), endsStream: false)
        #expect(reader.frames == [whole, whole, whole])
    }

    @Test("§6.2: HEADERS may consist of padding only")
    func paddingOnly() {
        var reader = FrameReader()
        reader.receive(frameBytes(1, flags: 13, stream: 1, [3, 0, 0, 0]))
        reader.receive(frameBytes(1, flags: 12, stream: 1, [0]))
        reader.receive(frameBytes(1, flags: 0x2C, stream: 1, [1, 0, 0, 0, 0, 0, 0]))
        #expect(
            reader.frames == [
                .headers(stream: 1, block: ByteBuffer(), endsStream: true),
                .headers(stream: 1, block: ByteBuffer(), endsStream: false),
                .headers(stream: 1, block: ByteBuffer(), endsStream: false),
            ])
    }

    @Test("§10.5.1: as many bytes as the limit are accepted, one more is not, in one frame or in several", .tags(.I2))
    func blockBytes() {
        var limits = HTTP2FrameLimits()
        limits.maximumBlockBytes = 1_000
        for (first, second, isAccepted) in [
            (1_000, nil, true), (1_001, nil, false), (600, 400, true), (600, 401, false), (0, 1_000, true),
            (0, 1_001, false),
        ] as [(Int, Int?, Bool)] {
            var reader = FrameReader(limits: limits)
            // The padding does not count.
            let padded: [UInt8] = [5] + [UInt8](repeating: 1, count: first) + [0, 0, 0, 0, 0]
            reader.receive(frameBytes(1, flags: second == nil ? 12 : 8, stream: 1, padded))
            if let second {
                reader.receive(frameBytes(9, flags: 4, stream: 1, [UInt8](repeating: 2, count: second)))
            }
            if isAccepted {
                let block = [UInt8](repeating: 1, count: first) + [UInt8](repeating: 2, count: second ?? 0)
                #expect(reader.frames == [.headers(stream: 1, block: ByteBuffer(bytes: block), endsStream: false)])
            } else {
                #expect(reader.frames.isEmpty)
                #expect(reader.violation?.code == .enhanceYourCalm)
                #expect(reader.violation?.scope == .connection)
            }
        }
    }

    @Test("§10.5: an endless section is refused, and at most the limits and one frame are buffered", .tags(.H2p))
    func endless() {
        for (fragment, most) in [(16_384, 262_144 + 16_384 + 9), (1, 4_097 + 9), (0, 9)] {
            var reader = FrameReader()
            let frame = frameBytes(9, stream: 1, [UInt8](repeating: 3, count: fragment))
            reader.receive(frameBytes(1, stream: 1))
            var sent = 0
            while reader.violation == nil, sent < 5_000 {
                reader.receive(frame)
                sent += 1
            }
            #expect(reader.violation?.code == .enhanceYourCalm)
            #expect(sent == (fragment == 16_384 ? 17 : 4_097))
            #expect(reader.mostBuffered <= most)
        }
    }
}
