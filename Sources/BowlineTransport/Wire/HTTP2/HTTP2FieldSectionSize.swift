internal import NIOCore
internal import NIOHPACK

/// Says how many bytes a field section can take at most once it is compressed (RFC 7541), whatever the table holds.
///
/// The frame handler's encoder always uses the Huffman code, also where it makes a text longer: up to 30 bits for a byte.
enum HTTP2FieldSectionSize {
    /// A head whose HTTP/1.1 form is not longer takes less than 16,384 bytes, the smallest limit that a peer may set: each
    /// byte takes 30 bits at most, and what HPACK adds to a field is less than what HTTP/1.1 adds, taken so often.
    static let harmlessHead = 4000
    /// Two changes of the table's size that the section may have to announce first (RFC 7541 §6.3).
    private static let sizeUpdates = 12

    /// Not less than the section takes.
    static func upperBound(of headers: HPACKHeaders) -> Int {
        headers.reduce(sizeUpdates) { $0 + upperBound(name: $1.name, value: $1.value) }
    }

    /// The name in full or as a number of up to four bytes, whichever is longer; the value in full.
    private static func upperBound(name: String, value: String) -> Int {
        max(1 + length(of: name), 4) + length(of: value)
    }

    /// The bytes of a text in the Huffman code, with those that say how many they are.
    static func length(of text: String) -> Int {
        let bits = text.utf8.reduce(0) { $0 + Int(codeLengths[Int($1)]) }
        let bytes = (bits + 7) / 8
        return bytes + lengthOfInteger(bytes)
    }

    /// The bytes of a number in the seven bits that a text's length begins with (RFC 7541 §5.1).
    private static func lengthOfInteger(_ value: Int) -> Int {
        guard value >= 127 else { return 1 }
        var (rest, count) = (value - 127, 2)
        while rest >= 128 {
            rest >>= 7
            count += 1
        }
        return count
    }

    /// How many bits each byte takes (RFC 7541, Appendix B).
    private static let codeLengths: [UInt8] = [
        13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
        28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
        5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
        7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
        15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
        7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
        24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
        23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
        26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
        21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
        26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    ]
}
