/// The character classes of RFC 9110 §5.6 and RFC 9112, and scans over them that are fast enough for the hot path.
enum HTTP1Grammar {
    static let carriageReturn: UInt8 = 0x0D
    static let lineFeed: UInt8 = 0x0A
    static let space: UInt8 = 0x20
    static let tab: UInt8 = 0x09
    static let colon: UInt8 = 0x3A

    /// `tchar`: the bytes of a token (RFC 9110 §5.6.2).
    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool {
        // One bit for each of the 128 ASCII characters.
        let mask: UInt64 = byte < 64 ? 0x03FF_6CFA_0000_0000 : 0x57FF_FFFF_C7FF_FFFE
        return byte < 128 && (mask >> UInt64(byte & 63)) & 1 == 1
    }

    /// Whether the bytes are a token. An empty text is not a token (RFC 9110 §5.6.2).
    @inline(__always)
    static func isToken(_ bytes: UnsafeRawBufferPointer) -> Bool {
        !bytes.isEmpty && endOfToken(in: bytes, from: 0) == bytes.count
    }

    /// `SP` or `HTAB`: the bytes of `OWS` (RFC 9110 §5.6.3).
    @inline(__always)
    static func isWhitespace(_ byte: UInt8) -> Bool {
        byte == space || byte == tab
    }

    /// Returns the range of the bytes without the whitespace at their ends.
    static func trimmed(_ bytes: UnsafeRawBufferPointer) -> Range<Int> {
        var (start, end) = (0, bytes.count)
        while start < end, isWhitespace(bytes[start]) { start += 1 }
        while end > start, isWhitespace(bytes[end - 1]) { end -= 1 }
        return start..<end
    }

    /// `VCHAR`, `obs-text`, `SP` or `HTAB`: the bytes that are allowed in a field value or a reason phrase (RFC 9110
    /// §5.5).
    @inline(__always)
    static func isText(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte != 0x7F || byte == tab
    }

    @inline(__always)
    static func digit(_ byte: UInt8) -> Int? {
        let value = byte &- 0x30
        return value < 10 ? Int(value) : nil
    }

    @inline(__always)
    static func hexDigit(_ byte: UInt8) -> UInt64? {
        switch byte {
        case 0x30...0x39: UInt64(byte - 0x30)
        case 0x41...0x46: UInt64(byte - 0x41 + 10)
        case 0x61...0x66: UInt64(byte - 0x61 + 10)
        default: nil
        }
    }

    /// Returns the first position at or after `start` with a byte that is not ``isText(_:)``, or the count of the
    /// bytes.
    @inline(__always)
    static func endOfText(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var position = start
        while position < bytes.count {
            // Eight bytes at a time. In `hits`, a byte below 0x20 or equal to 0x7F has its top bit set. A borrow can
            // set further bits only above such a byte, so the lowest set bit is always right.
            if position + 8 <= bytes.count {
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
                let ones: UInt64 = 0x0101_0101_0101_0101
                let tops: UInt64 = 0x8080_8080_8080_8080
                let flipped = word ^ (ones &* 0x7F)
                let hits = ((word &- ones &* 0x20) & ~word | (flipped &- ones) & ~flipped) & tops
                if hits == 0 {
                    position += 8
                    continue
                }
                position += hits.trailingZeroBitCount / 8
            }
            guard isText(bytes[position]) else { return position }
            position += 1
        }
        return position
    }

    /// Returns the first position at or after `start` with a byte that is not ``isToken(_:)``, or the count of the
    /// bytes.
    @inline(__always)
    static func endOfToken(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        var position = start
        while position < bytes.count {
            // Takes eight bytes at a time while they are letters and hyphens: names rarely contain other characters.
            if position + 8 <= bytes.count {
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
                let others = bytesOtherThanLettersAndHyphens(in: word)
                if others == 0 {
                    position += 8
                    continue
                }
                position += others.trailingZeroBitCount / 8
            }
            guard isToken(bytes[position]) else { return position }
            position += 1
        }
        return position
    }

    /// Returns a word that has the top bit of a byte set if that byte is neither an ASCII letter nor a hyphen.
    @inline(__always)
    private static func bytesOtherThanLettersAndHyphens(in word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        // The top bits are cleared, so that no sum below carries into the next byte.
        let low = word & ~tops
        let lowercased = low | ones &* 0x20
        let letters = (lowercased &+ ones &* (0x80 - 0x61)) & ~(lowercased &+ ones &* (0x80 - 0x7B))
        let hyphens = ~((low ^ ones &* 0x2D) &+ ones &* 0x7F)
        return ~((letters | hyphens) & ~word) & tops
    }
}
