/// The Huffman code of RFC 7541, Appendix B, in both directions.
///
/// The code is canonical: in order of length and then of symbol, each code is its predecessor plus one. So the code
/// lengths define the whole code, and the tables are made from them at first use.
///
/// Decoding looks at the next 10 bits. They contain the whole code of every frequent printable symbol. Longer codes of
/// the same length follow each other, so the decoder finds a longer code by comparing the bits with the end of the
/// codes of each length.
// Safety: the memory is filled before `shared` exists; it is neither changed nor freed after that.
package struct HPACKHuffman: @unchecked Sendable {
    /// The tables, which are never freed. A copy of this value costs no reference count.
    package static let shared = HPACKHuffman()

    /// The codes of one length above ``shortBits``, as the highest of 30 bits.
    private struct LongCodes {
        /// The first code of this length.
        var start: UInt32
        /// The first number above all codes of this length.
        var end: UInt32
        /// The position in `symbols` of the symbol of the first code.
        var position: Int
        var length: Int
    }

    private static let shortBits = 10
    private static let longestBits = 30
    private static let endOfString: UInt16 = 256

    /// For each value of 10 bits, the code with which the value begins: the symbol in the low eight bits, the length
    /// above them. 0: the code is longer than 10 bits.
    private let short: UnsafePointer<UInt16>
    /// The long codes, in order of length. The last one ends above every number of 30 bits.
    private let long: UnsafePointer<LongCodes>
    /// All symbols in order of their codes.
    private let symbols: UnsafePointer<UInt16>
    /// For each symbol, its length in the lowest eight bits, and its code above them.
    private let codes: UnsafePointer<UInt64>

    private init() {
        let lengths = HPACKHuffman.codeLengths
        let ordered = (UInt8(5)...30).flatMap { length in lengths.indices.filter { lengths[$0] == length } }
        let codes = UnsafeMutablePointer<UInt64>.allocate(capacity: lengths.count)
        codes.initialize(repeating: 0, count: lengths.count)
        let short = UnsafeMutablePointer<UInt16>.allocate(capacity: 1 << Self.shortBits)
        short.initialize(repeating: 0, count: 1 << Self.shortBits)
        let symbols = UnsafeMutablePointer<UInt16>.allocate(capacity: ordered.count)
        symbols.initialize(repeating: 0, count: ordered.count)
        var long: [LongCodes] = []

        var code: UInt32 = 0
        var length = 0
        for (position, symbol) in ordered.enumerated() {
            code <<= UInt32(Int(lengths[symbol]) - length)
            length = Int(lengths[symbol])
            codes[symbol] = UInt64(code) << 8 | UInt64(length)
            symbols[position] = UInt16(symbol)
            if length <= Self.shortBits {
                let free = Self.shortBits - length
                for window in (Int(code) << free)..<(Int(code) + 1) << free {
                    short[window] = UInt16(length) << 8 | UInt16(symbol)
                }
            } else {
                let free = UInt32(Self.longestBits - length)
                if long.last?.length != length {
                    long.append(LongCodes(start: code << free, end: 0, position: position, length: length))
                }
                long[long.count - 1].end = (code + 1) << free
            }
            code += 1
        }

        let longCodes = UnsafeMutablePointer<LongCodes>.allocate(capacity: long.count)
        for (position, codes) in long.enumerated() { (longCodes + position).initialize(to: codes) }
        self.short = UnsafePointer(short)
        self.long = UnsafePointer(longCodes)
        self.symbols = UnsafePointer(symbols)
        self.codes = UnsafePointer(codes)
    }
}

extension HPACKHuffman {
    /// Decodes a string.
    ///
    /// - Parameter target: Has room for ``decodedCount(of:)`` bytes. No further byte is written.
    /// - Returns: How many bytes were written; nil: the string breaks RFC 7541 §5.2.
    package func decode(_ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawPointer) -> Int? {
        run(over: source, target: target)
    }

    /// Returns how many bytes a string has after decoding. nil: the string breaks RFC 7541 §5.2.
    package func decodedCount(of source: UnsafeRawBufferPointer) -> Int? {
        run(over: source, target: nil)
    }

    /// - Parameter target: Where the symbols are written. nil: the symbols are only counted.
    @inline(__always)
    private func run(over source: UnsafeRawBufferPointer, target: UnsafeMutableRawPointer?) -> Int? {
        // Invariant: the next bits are at the top of `window`. The first `available` of them belong to the bytes before
        // `position`. The bits below are either 0 or already those of the bytes from `position` on.
        var window: UInt64 = 0
        var available = 0
        var position = 0
        var count = 0
        while true {
            if position &+ 8 <= source.count {
                let word = UInt64(bigEndian: source.loadUnaligned(fromByteOffset: position, as: UInt64.self))
                window |= word &>> UInt64(truncatingIfNeeded: available)
                position &+= (63 &- available) &>> 3
                available |= 56
            } else {
                while available <= 56, position < source.count {
                    window |= UInt64(source[position]) &<< UInt64(truncatingIfNeeded: 56 &- available)
                    position &+= 1
                    available &+= 8
                }
            }
            // Fewer bits are left only at the end of the string.
            guard available >= Self.longestBits else { break }
            repeat {
                let (symbol, length) = firstCode(of: window)
                guard symbol != Self.endOfString else { return nil }
                target?.storeBytes(of: UInt8(truncatingIfNeeded: symbol), toByteOffset: count, as: UInt8.self)
                count &+= 1
                window &<<= UInt64(truncatingIfNeeded: length)
                available &-= length
            } while available >= Self.longestBits
        }
        // Ones follow the last bit, so that the remaining bits are either the beginning of EOS or an error.
        while available > 0 {
            let ones = UInt64.max &>> UInt64(truncatingIfNeeded: available)
            let (symbol, length) = firstCode(of: window | ones)
            guard length <= available else {
                return available < 8 && window | ones == UInt64.max ? count : nil
            }
            target?.storeBytes(of: UInt8(truncatingIfNeeded: symbol), toByteOffset: count, as: UInt8.self)
            count &+= 1
            window &<<= UInt64(truncatingIfNeeded: length)
            available &-= length
        }
        return count
    }

    /// Returns the code at the top of the window.
    @inline(__always)
    private func firstCode(of window: UInt64) -> (symbol: UInt16, length: Int) {
        let entry = short[Int(truncatingIfNeeded: window &>> UInt64(64 - Self.shortBits))]
        guard entry == 0 else { return (entry & 0xFF, Int(entry &>> 8)) }
        return firstLongCode(of: window)
    }

    private func firstLongCode(of window: UInt64) -> (symbol: UInt16, length: Int) {
        let code = UInt32(truncatingIfNeeded: window &>> UInt64(64 - Self.longestBits))
        var codes = long
        while code >= codes.pointee.end { codes += 1 }
        let free = UInt32(truncatingIfNeeded: Self.longestBits &- codes.pointee.length)
        let position = codes.pointee.position &+ Int((code &- codes.pointee.start) &>> free)
        return (symbols[position], codes.pointee.length)
    }
}

extension HPACKHuffman {
    /// Returns how many bytes a string takes in the Huffman code, padding included.
    package func encodedCount(of text: UnsafeRawBufferPointer) -> Int {
        var bits: UInt64 = 0
        for position in 0..<text.count { bits &+= codes[Int(text[position])] & 0xFF }
        return Int(truncatingIfNeeded: (bits &+ 7) &>> 3)
    }

    /// Encodes a string.
    ///
    /// - Parameter target: Has room for ``encodedCount(of:)`` bytes. No further byte is written.
    package func encode(_ text: UnsafeRawBufferPointer, into target: UnsafeMutableRawPointer) {
        // Invariant: `used` bits at the bottom of `window` are not written yet. Between symbols there are fewer than 32
        // of them.
        var window: UInt64 = 0
        var used: UInt64 = 0
        var count = 0
        for position in 0..<text.count {
            let code = codes[Int(text[position])]
            let length = code & 0xFF
            window = window &<< length | code &>> 8
            used &+= length
            guard used >= 32 else { continue }
            used &-= 32
            let word = UInt32(truncatingIfNeeded: window &>> used)
            target.storeBytes(of: word.bigEndian, toByteOffset: count, as: UInt32.self)
            count &+= 4
        }
        while used >= 8 {
            used &-= 8
            target.storeBytes(of: UInt8(truncatingIfNeeded: window &>> used), toByteOffset: count, as: UInt8.self)
            count &+= 1
        }
        guard used > 0 else { return }
        // RFC 7541 §5.2: the padding is the beginning of EOS, which is all ones.
        let last = UInt8(truncatingIfNeeded: window &<< (8 &- used)) | UInt8(truncatingIfNeeded: 0xFF &>> used)
        target.storeBytes(of: last, toByteOffset: count, as: UInt8.self)
    }
}
