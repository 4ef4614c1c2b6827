import NIOCore

/// A frame of RFC 9113 §4.1, written and read a second time: what the tests compare the wire with.
struct PlainFrame: Equatable, Sendable {
    enum Kind {
        static let data: UInt8 = 0
        static let headers: UInt8 = 1
        static let priority: UInt8 = 2
        static let reset: UInt8 = 3
        static let settings: UInt8 = 4
        static let pushPromise: UInt8 = 5
        static let ping: UInt8 = 6
        static let goAway: UInt8 = 7
        static let windowUpdate: UInt8 = 8
        static let continuation: UInt8 = 9
    }

    enum Flag {
        static let endStream: UInt8 = 1
        static let acknowledgement: UInt8 = 1
        static let endHeaders: UInt8 = 4
        static let padded: UInt8 = 8
        static let priority: UInt8 = 0x20
    }

    var type: UInt8
    var flags: UInt8 = 0
    var stream = 0
    var payload: [UInt8] = []

    var bytes: [UInt8] {
        let length = payload.count
        let head: [UInt8] = [UInt8(length >> 16), UInt8(length >> 8 & 0xFF), UInt8(length & 0xFF), type, flags]
        return head + Self.number(stream) + payload
    }

    /// 32 bits, the highest first.
    static func number(_ value: Int) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    static func number(in bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }

    /// The whole frames in the bytes, and what is left behind them.
    static func read(_ bytes: [UInt8]) -> (frames: [PlainFrame], rest: [UInt8]) {
        var frames: [PlainFrame] = []
        var rest = bytes[...]
        while rest.count >= 9 {
            let start = rest.startIndex
            let length = number(in: rest[start..<start + 3])
            guard rest.count >= 9 + length else { break }
            let stream = number(in: rest[start + 5..<start + 9]) & 0x7FFF_FFFF
            frames.append(
                PlainFrame(
                    type: rest[start + 3], flags: rest[start + 4], stream: stream,
                    payload: Array(rest[start + 9..<start + 9 + length])))
            rest = rest[(start + 9 + length)...]
        }
        return (frames, Array(rest))
    }

    func has(_ flag: UInt8) -> Bool { flags & flag != 0 }
}

extension PlainFrame {
    static func settings(_ entries: [(identifier: Int, value: Int)]) -> PlainFrame {
        let payload = entries.flatMap { Array(number($0.identifier)[2...]) + number($0.value) }
        return PlainFrame(type: Kind.settings, payload: payload)
    }

    static let settingsAcknowledgement = PlainFrame(type: Kind.settings, flags: Flag.acknowledgement)

    static func ping(_ value: UInt64, isAnswer: Bool = false) -> PlainFrame {
        let payload = number(Int(value >> 32)) + number(Int(value & 0xFFFF_FFFF))
        return PlainFrame(type: Kind.ping, flags: isAnswer ? Flag.acknowledgement : 0, payload: payload)
    }

    static func reset(_ stream: Int, code: Int) -> PlainFrame {
        PlainFrame(type: Kind.reset, stream: stream, payload: number(code))
    }

    static func goAway(lastStream: Int, code: Int, debug: [UInt8] = []) -> PlainFrame {
        PlainFrame(type: Kind.goAway, payload: number(lastStream) + number(code) + debug)
    }

    static func windowUpdate(_ stream: Int, by increment: Int) -> PlainFrame {
        PlainFrame(type: Kind.windowUpdate, stream: stream, payload: number(increment))
    }

    /// - Parameter padding: Nil: the frame has no padding; else how many bytes of it.
    static func data(_ bytes: [UInt8], stream: Int, endsStream: Bool, padding: Int? = nil) -> PlainFrame {
        let flags: UInt8 = (endsStream ? Flag.endStream : 0) | (padding == nil ? 0 : Flag.padded)
        return PlainFrame(type: Kind.data, flags: flags, stream: stream, payload: padded(bytes, padding))
    }

    /// A field section in as many frames as there are cuts, and one more.
    static func headers(
        _ block: [UInt8], stream: Int, endsStream: Bool, cuts: [Int] = [], padding: Int? = nil,
        hasPriority: Bool = false
    ) -> [PlainFrame] {
        var pieces: [[UInt8]] = []
        var start = 0
        for cut in cuts.sorted() + [block.count] {
            pieces.append(Array(block[start..<cut]))
            start = cut
        }
        let priority: [UInt8] = hasPriority ? number(0) + [16] : []
        let flags: UInt8 =
            (endsStream ? Flag.endStream : 0) | (padding == nil ? 0 : Flag.padded)
            | (hasPriority ? Flag.priority : 0)
        var frames = [
            PlainFrame(
                type: Kind.headers, flags: flags, stream: stream, payload: padded(priority + pieces[0], padding))
        ]
        frames += pieces.dropFirst().map { PlainFrame(type: Kind.continuation, stream: stream, payload: $0) }
        frames[frames.count - 1].flags |= Flag.endHeaders
        return frames
    }

    private static func padded(_ bytes: [UInt8], _ padding: Int?) -> [UInt8] {
        guard let padding else { return bytes }
        return [UInt8(padding)] + bytes + [UInt8](repeating: 0, count: padding)
    }
}
