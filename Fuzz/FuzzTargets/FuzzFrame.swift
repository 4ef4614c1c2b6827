/// A second implementation of the frames of RFC 9113 §4.1. The targets compare the wire with it.
struct FuzzFrame: Equatable {
    let type: UInt8
    let flags: UInt8
    let stream: Int
    let payload: [UInt8]

    static let endHeaders: UInt8 = 4

    /// An empty SETTINGS frame, with which a server begins.
    static let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]

    /// Returns the whole frames in the bytes, and the bytes of an unfinished last frame.
    static func read(_ bytes: [UInt8]) -> (frames: [FuzzFrame], unfinished: [UInt8]) {
        var frames: [FuzzFrame] = []
        var rest = bytes[...]
        while rest.count >= 9 {
            let start = rest.startIndex
            let length = number(in: rest[start..<start + 3])
            guard rest.count >= 9 + length else { break }
            frames.append(
                FuzzFrame(
                    type: rest[start + 3], flags: rest[start + 4],
                    stream: number(in: rest[start + 5..<start + 9]) & 0x7FFF_FFFF,
                    payload: Array(rest[start + 9..<start + 9 + length])))
            rest = rest[(start + 9 + length)...]
        }
        return (frames, Array(rest))
    }

    static func number(in bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
}
