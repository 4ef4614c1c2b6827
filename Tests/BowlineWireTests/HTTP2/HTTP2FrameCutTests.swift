import BowlineTransport
import NIOCore
import Testing

/// How bytes are cut changes nothing but the pieces of DATA; what is held stays bounded.
@Suite struct HTTP2FrameCutTests {
    @Test("The same frames come out wherever the bytes are cut in two, and byte by byte")
    func everyCut() {
        let bytes = SampleFrames.bytes
        for cut in 0...bytes.count {
            var reader = FrameReader(afterSettings: false)
            reader.receive(bytes[..<cut])
            reader.receive(bytes[cut...])
            #expect(reader.joined == SampleFrames.frames, "cut at \(cut)")
            #expect(reader.violation == nil)
            #expect(!reader.parser.isWithinFrame)
            #expect(reader.parser.bufferedByteCount == 0)
        }
        var reader = FrameReader(afterSettings: false)
        for byte in bytes { reader.receive([byte]) }
        #expect(reader.joined == SampleFrames.frames)
    }

    @Test("Bytes that are appended before the earlier bytes were parsed are parsed after them")
    func appendedEarly() throws {
        var parser = HTTP2FrameParser()
        let bytes = SampleFrames.bytes
        parser.append(ByteBuffer(bytes: bytes[..<40]))
        let first = try parser.next()
        var frames = [try #require(first)]
        parser.append(ByteBuffer(bytes: bytes[40..<41]))
        parser.append(ByteBuffer(bytes: bytes[41...]))
        while let frame = try parser.next() { frames.append(frame) }
        #expect(frames == SampleFrames.frames)
    }

    @Test("Random bytes and damaged frames yield the same frames and the same error, whole and cut", .tags(.I3))
    func damaged() {
        let seed = UInt64.random(in: .min ... .max)
        print("HTTP2FrameCutTests seed: \(seed)")
        var random = SeededRandom(seed: seed)
        for round in 0..<3_000 {
            var bytes = SampleFrames.bytes
            if round % 3 == 0 {
                bytes = frameBytes(4)
                for _ in 0..<Int.random(in: 1...12, using: &random) {
                    let payload = (0..<Int.random(in: 0...12, using: &random)).map { _ in
                        UInt8.random(in: 0...255, using: &random)
                    }
                    bytes += frameBytes(
                        UInt8.random(in: 0...11, using: &random), flags: UInt8.random(in: 0...255, using: &random),
                        stream: UInt32.random(in: 0...2, using: &random), payload)
                }
            } else {
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
            }
            var whole = FrameReader(afterSettings: false)
            whole.receive(bytes)
            var cut = FrameReader(afterSettings: false)
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Int.random(in: 1...min(rest.count, 20), using: &random)
                cut.receive(rest.prefix(count))
                rest = rest.dropFirst(count)
            }
            #expect(whole.joined == cut.joined, "seed \(seed), round \(round)")
            #expect(whole.violation == cut.violation, "seed \(seed), round \(round)")
            #expect(whole.parser.isWithinFrame == cut.parser.isWithinFrame, "seed \(seed), round \(round)")
        }
    }

    @Test("§6.1: padding of every length is left out of the bytes and counted in the windows")
    func padding() {
        for length in 0...255 {
            let padding = [UInt8](repeating: 0, count: length)
            var reader = FrameReader()
            reader.receive(frameBytes(0, flags: 9, stream: 1, [UInt8(length), 1, 2] + padding))
            reader.receive(frameBytes(0, flags: 8, stream: 1, [UInt8(length)] + padding))
            reader.receive(frameBytes(1, flags: 12, stream: 3, [UInt8(length), 5, 6] + padding))
            #expect(
                reader.frames == [
                    .data(
                        stream: 1, bytes: ByteBuffer(bytes: [1, 2]), windowBytes: length + 3, endsFrame: true,
                        endsStream: true),
                    .data(
                        stream: 1, bytes: ByteBuffer(), windowBytes: length + 1, endsFrame: true, endsStream: false),
                    .headers(stream: 3, block: ByteBuffer(bytes: [5, 6]), endsStream: false),
                ])
        }
    }

    @Test("§6.1: pieces of DATA are delivered as their bytes arrive; later padding counts without bytes")
    func pieces() {
        var reader = FrameReader()
        let bytes = frameBytes(0, flags: 9, stream: 1, [2, 65, 66, 67, 0, 0])
        reader.receive(bytes[..<10])
        #expect(reader.frames.isEmpty)
        #expect(reader.parser.isWithinFrame)
        reader.receive(bytes[10..<12])
        reader.receive(bytes[12..<14])
        reader.receive(bytes[14...])
        #expect(
            reader.frames == [
                .data(stream: 1, bytes: ByteBuffer(string: "AB"), windowBytes: 3, endsFrame: false, endsStream: false),
                .data(stream: 1, bytes: ByteBuffer(string: "C"), windowBytes: 2, endsFrame: false, endsStream: false),
                .data(stream: 1, bytes: ByteBuffer(), windowBytes: 1, endsFrame: true, endsStream: true),
            ])
        #expect(!reader.parser.isWithinFrame)
    }

    @Test("Payloads are slices of what was received; only a frame's unfinished remains are copied")
    func noCopies() throws {
        let first = ByteBuffer(
            bytes: frameBytes(0, stream: 1, [1, 2, 3]) + frameBytes(1, flags: 4, stream: 3, [4]) + [0, 0])
        let rest = frameBytes(0, stream: 1, [5, 6])[2...]
        let second = ByteBuffer(bytes: Array(rest))
        var reader = FrameReader()
        reader.receive(first)
        #expect(reader.parser.bufferedByteCount == 2)
        reader.receive(second)
        try #require(reader.frames.count == 3)
        guard case .data(_, let data, _, _, _) = reader.frames[0], case .headers(_, let block, _) = reader.frames[1],
            case .data(_, let later, _, _, _) = reader.frames[2]
        else {
            Issue.record("\(reader.frames)")
            return
        }
        #expect(address(of: data) == address(of: first) + 9)
        #expect(address(of: block) == address(of: first) + 21)
        #expect(address(of: later) == address(of: second) + 7)
    }

    private func address(of buffer: ByteBuffer) -> UInt {
        buffer.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
    }

    @Test("Debug data, unknown frames and refused DATA are skipped as they arrive and not buffered")
    func skipped() {
        var reader = FrameReader()
        let payload = [UInt8](repeating: 7, count: 16_384)
        let debugData: [UInt8] = [0, 0, 0, 1, 0, 0, 0, 2] + payload[8...]
        var bytes = frameBytes(7, debugData)
        bytes += frameBytes(0xC, payload)
        bytes += frameBytes(0, stream: 1, payload + payload)
        for start in stride(from: 0, to: bytes.count, by: 100) {
            reader.receive(bytes[start..<min(start + 100, bytes.count)])
        }
        #expect(reader.mostBuffered <= 16)
        #expect(reader.frames.count == 3)
        #expect(reader.frames.first == .goAway(lastStream: 1, code: .internalError))
        #expect(!reader.parser.isWithinFrame)
    }

    @Test("A connection that ends between frames is complete; within a frame or a section it is not")
    func withinFrame() {
        var reader = FrameReader()
        #expect(!reader.parser.isWithinFrame)
        reader.receive([0])
        #expect(reader.parser.isWithinFrame)
        reader.receive(frameBytes(6, [0, 0, 0, 0, 0, 0, 0, 1]).dropFirst())
        #expect(!reader.parser.isWithinFrame)
        reader.receive(frameBytes(0xA, [1, 2], length: 3))
        #expect(reader.frames.last == .unknown(type: 0xA, stream: 0, length: 3))
        #expect(reader.parser.isWithinFrame)
        reader.receive([3])
        #expect(!reader.parser.isWithinFrame)
        reader.receive(frameBytes(1, stream: 1, [1]))
        #expect(reader.parser.isWithinFrame)
        reader.receive(frameBytes(9, flags: 4, stream: 1))
        #expect(!reader.parser.isWithinFrame)
    }
}
