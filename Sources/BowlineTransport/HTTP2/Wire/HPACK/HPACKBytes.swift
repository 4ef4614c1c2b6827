/// Hashes and compares names and values, eight bytes at a time.
enum HPACKBytes {
    /// Returns a hash that is the same for the same bytes and seed within a process.
    ///
    /// The fields come from our own caller, so the hash needs no secret. Look-ups are bounded even if all hashes
    /// collide.
    @inline(__always)
    static func hash(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
        let count = bytes.count
        var hash = mixed(seed ^ UInt64(truncatingIfNeeded: count))
        var position = 0
        while position &+ 8 <= count {
            hash = mixed(hash ^ bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
            position &+= 8
        }
        guard position < count else { return hash }
        return mixed(hash ^ tail(bytes))
    }

    /// Returns the last bytes, up to eight. They may include bytes that were hashed already.
    @inline(__always)
    private static func tail(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        let count = bytes.count
        if count >= 8 { return bytes.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self) }
        if count >= 4 {
            let first = bytes.loadUnaligned(fromByteOffset: 0, as: UInt32.self)
            let last = bytes.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
            return UInt64(first) | UInt64(last) &<< 32
        }
        return UInt64(bytes[0]) | UInt64(bytes[count &>> 1]) &<< 8 | UInt64(bytes[count &- 1]) &<< 16
    }

    @inline(__always)
    private static func mixed(_ word: UInt64) -> UInt64 {
        let product = (word ^ 0x2545_F491_4F6C_DD1D) &* 0x9E37_79B9_7F4A_7C15
        return product ^ (product &>> 32)
    }

    /// Whether the first `count` bytes at both addresses are equal.
    @inline(__always)
    static func areEqual(_ one: UnsafeRawPointer, _ other: UnsafeRawPointer, count: Int) -> Bool {
        guard count >= 8 else {
            for position in 0..<count {
                let (left, right) = (
                    one.load(fromByteOffset: position, as: UInt8.self),
                    other.load(fromByteOffset: position, as: UInt8.self)
                )
                guard left == right else { return false }
            }
            return true
        }
        // The last eight bytes may overlap bytes that were compared before.
        var position = 0
        while position &+ 8 < count {
            guard areWordsEqual(one, other, at: position) else { return false }
            position &+= 8
        }
        return areWordsEqual(one, other, at: count &- 8)
    }

    @inline(__always)
    private static func areWordsEqual(_ one: UnsafeRawPointer, _ other: UnsafeRawPointer, at position: Int) -> Bool {
        one.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            == other.loadUnaligned(fromByteOffset: position, as: UInt64.self)
    }
}
