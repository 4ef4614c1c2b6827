import BowlineTransport
import Foundation
import NIOCore
import Testing

/// What `Scripts/http2-wire` compares with PyPI's hpack, hyperframe and h2.
@Suite(.serialized, .enabled(if: WireVectors.isThere), .timeLimit(.minutes(10)))
struct WireVectorTests {
    @Test("The fields of the sections that hpack encoded, and the table behind each")
    func readSections() throws {
        var decoder = HPACKSectionDecoder()
        var connection = -1
        for (number, section) in try WireVectors.read("sections-in.jsonl", as: WireVectors.Section.self).enumerated() {
            if section.connection != connection {
                connection = section.connection
                decoder = HPACKSectionDecoder()
            }
            for size in section.sizes { decoder.tableSizeAcknowledged(size) }
            let block = ByteBuffer(bytes: section.block)
            let fields = try decoder.decode(block, limits: .unlimited, allocator: ByteBufferAllocator())
            let difference = differenceBetween(fields.drawn, section.drawn)
            try #require(difference == nil, "section \(number): \(difference ?? "")")
            try #require(decoder.tableBytes == section.tableBytes, "section \(number)")
        }
    }

    @Test("Sections for hpack to decode")
    func writeSections() throws {
        var random = SeededRandom(seed: WireVectors.seed)
        var sections: [WireVectors.Section] = []
        for connection in 0..<60 {
            var drawing = FieldDrawing(.bytes)
            let most = [0, 100, 4_096, 65_536].randomElement(using: &random) ?? 0
            var encoder = HPACKSectionEncoder(maximumTableSize: most)
            for _ in 0..<60 {
                var sizes: [Int] = []
                if Int.random(in: 0..<6, using: &random) == 0 {
                    sizes = (0..<Int.random(in: 1...3, using: &random)).map { _ in random.tableSize() }
                }
                for size in sizes { encoder.peerTableSize(size) }
                let fields = drawing.section(using: &random)
                let block = encoder.block(of: fields)
                sections.append(
                    WireVectors.Section(
                        connection: connection, sizes: sizes, block: Data(block.readableBytesView),
                        fields: fields.map(\.told), secrets: fields.map(\.isSecret), tableBytes: encoder.tableBytes))
            }
        }
        try WireVectors.write(sections, to: "sections-out.jsonl")
    }

    @Test("The frames that hyperframe wrote, cut anywhere")
    func readFrames() throws {
        var random = SeededRandom(seed: WireVectors.seed)
        for (number, line) in try WireVectors.read("frames-in.jsonl", as: WireVectors.Frames.self).enumerated() {
            var parser = HTTP2FrameParser()
            var seen = FrameLines()
            var rest = line.bytes[...]
            let longest = line.longestPiece ?? line.bytes.count
            while !rest.isEmpty {
                let count = Int.random(in: 1...min(longest, rest.count), using: &random)
                parser.append(ByteBuffer(bytes: rest.prefix(count)))
                rest = rest.dropFirst(count)
                while let frame = try parser.next() { seen.note(frame) }
            }
            for (ours, theirs) in zip(seen.lines, line.frames) {
                try #require(ours == theirs, "connection \(number)")
            }
            try #require(seen.lines.count == line.frames.count, "connection \(number)")
            try #require(parser.bufferedByteCount == 0, "connection \(number)")
            try #require(!parser.isWithinFrame, "connection \(number)")
        }
    }

    @Test("Frames for hyperframe to read")
    func writeFrames() throws {
        var random = SeededRandom(seed: WireVectors.seed)
        var connections: [WireVectors.Frames] = []
        for _ in 0..<200 {
            let largest = [16_384, 16_385, 40_000].randomElement(using: &random) ?? 16_384
            var drawing = FrameWriting(largest: largest)
            for _ in 0..<30 { drawing.writeOne(using: &random) }
            let (taken, rest) = (drawing.writer.take(), drawing.writer.take())
            let output = try #require(taken)
            #expect(rest == nil)
            connections.append(
                WireVectors.Frames(
                    bytes: Data(output.readableBytesView), frames: drawing.lines.lines, largest: largest))
        }
        try WireVectors.write(connections, to: "frames-out.jsonl")
    }

    @Test("Exchanges with an h2 server: fields, bodies, trailers, padding, windows, settings and resets")
    func exchanges() throws {
        let pipe = try WirePipe()
        defer { pipe.close() }
        var seeds = SeededRandom(seed: WireVectors.seed)
        for round in 0..<40 {
            let seed = seeds.next()
            do {
                let exchange = try WireExchange(seed: seed, pipe: pipe)
                for _ in 0..<60 { try exchange.step() }
                try exchange.finish()
            } catch {
                Issue.record("seed \(WireVectors.seed), round \(round), seed of the exchange \(seed): \(error)")
                return
            }
        }
    }
}

/// Frames as lines of text, in the format of `Scripts/harness/wire/frames.py`.
struct FrameLines {
    private(set) var lines: [String] = []
    private var data: [UInt8] = []
    private var window = 0

    mutating func append(_ line: String) { lines.append(line) }

    mutating func replaceLast(by line: String) { lines[lines.count - 1] = line }

    mutating func note(_ frame: HTTP2ReceivedFrame) {
        switch frame {
        case .data(let stream, let bytes, let windowBytes, let endsFrame, let endsStream):
            data += bytes.readableBytesView
            window += windowBytes
            guard endsFrame else { return }
            append("DATA \(stream) \(Data(data).base64EncodedString()) window=\(window) ends=\(endsStream)")
            (data, window) = ([], 0)
        case .headers(let stream, let block, let endsStream):
            append("HEADERS \(stream) \(Data(block.readableBytesView).base64EncodedString()) ends=\(endsStream)")
        case .priority(let stream): append("PRIORITY \(stream)")
        case .reset(let stream, let code): append("RST_STREAM \(stream) \(code.rawValue)")
        case .settings(let entries): append(Self.settings(entries))
        case .settingsAcknowledgement: append("SETTINGS acknowledged")
        case .pushPromise(let stream): append("PUSH_PROMISE \(stream)")
        case .ping(let value): append("PING \(value)")
        case .pong(let value): append("PONG \(value)")
        case .goAway(let last, let code): append("GOAWAY \(last) \(code.rawValue)")
        case .windowUpdate(let stream, let increment): append("WINDOW_UPDATE \(stream) \(increment)")
        case .unknown(let type, let stream, let length): append("UNKNOWN \(type) \(stream) \(length)")
        case .violation(let violation, let windowBytes): append("violation \(violation) \(windowBytes)")
        }
    }

    static func settings(_ entries: [HTTP2SettingEntry]) -> String {
        "SETTINGS " + entries.map { "\($0.identifier)=\($0.value)" }.joined(separator: ",")
    }
}

/// Writes random frames, and describes them in lines.
private struct FrameWriting {
    var writer = HTTP2FrameWriter()
    var lines = FrameLines()
    private let largest: Int
    /// The DATA that the last line has, if it may go on.
    private var last: (stream: Int, bytes: [UInt8])?

    init(largest: Int) {
        self.largest = largest
        writer.preface()
        writer.settings([])
        lines.append(FrameLines.settings([]))
    }

    mutating func writeOne(using random: inout SeededRandom) {
        let stream = [1, 3, 101, 0x7FFF_FFFF].randomElement(using: &random) ?? 1
        let kind = Int.random(in: 0..<9, using: &random)
        if kind != 0 { last = nil }
        switch kind {
        case 0: writeData(on: stream, using: &random)
        case 1:
            let block = Self.bytes([0, 1, 300, largest, largest + 1, 3 * largest + 7], using: &random)
            let ends = Bool.random(using: &random)
            let length = writer.headers(stream: stream, endsStream: ends, maximumFrameSize: largest) {
                _ = $0.writeBytes(block)
            }
            // A length that is wrong makes a line that is.
            let text = length == block.count ? Data(block).base64EncodedString() : "length \(length)"
            lines.append("HEADERS \(stream) \(text) ends=\(ends)")
        case 2:
            let code = [HTTP2ErrorCode.cancel, .noError, .refusedStream].randomElement(using: &random) ?? .cancel
            writer.reset(stream: stream, code: code)
            lines.append("RST_STREAM \(stream) \(code.rawValue)")
        case 3: writeSettings(using: &random)
        case 4:
            let value = UInt64.random(in: .min ... .max, using: &random)
            writer.ping(value)
            lines.append("PING \(value)")
        case 5:
            let value = UInt64.random(in: .min ... .max, using: &random)
            writer.pong(value)
            lines.append("PONG \(value)")
        case 6:
            writer.goAway(lastStream: stream - 1, code: .enhanceYourCalm)
            lines.append("GOAWAY \(stream - 1) 11")
        case 7:
            writer.settingsAcknowledgement()
            lines.append("SETTINGS acknowledged")
        default:
            let increment = [1, 65_536, 0x7FFF_FFFF].randomElement(using: &random) ?? 1
            let target = Bool.random(using: &random) ? 0 : stream
            writer.windowUpdate(stream: target, increment: increment)
            lines.append("WINDOW_UPDATE \(target) \(increment)")
        }
    }

    private mutating func writeSettings(using random: inout SeededRandom) {
        let value = UInt32.random(in: .min ... .max, using: &random)
        let entries = [
            HTTP2SettingEntry(identifier: 2, value: 0), HTTP2SettingEntry(identifier: 4, value: value >> 1),
            HTTP2SettingEntry(identifier: 6, value: value),
        ]
        let chosen = Array(entries.prefix(Int.random(in: 0...3, using: &random)))
        writer.settings(chosen)
        lines.append(FrameLines.settings(chosen))
    }

    /// DATA on the stream of the line before goes on with it, as the reader sees it.
    private mutating func writeData(on stream: Int, using random: inout SeededRandom) {
        let bytes = Self.bytes([0, 1, 300, largest, largest + 1, 2 * largest, 70_000], using: &random)
        let ends = Bool.random(using: &random)
        writer.data(ByteBuffer(bytes: bytes), stream: stream, endsStream: ends, maximumFrameSize: largest)
        let before = last?.stream == stream ? last?.bytes : nil
        let whole = (before ?? []) + bytes
        let line = "DATA \(stream) \(Data(whole).base64EncodedString()) ends=\(ends)"
        if before == nil { lines.append(line) } else { lines.replaceLast(by: line) }
        last = ends ? nil : (stream, whole)
    }

    private static func bytes(_ counts: [Int], using random: inout SeededRandom) -> [UInt8] {
        let count = counts.randomElement(using: &random) ?? 0
        let first = UInt8.random(in: .min ... .max, using: &random)
        return (0..<count).map { first &+ UInt8(truncatingIfNeeded: $0) }
    }
}
