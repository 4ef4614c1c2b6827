import HTTPTypes

// Lookups by a constant name. They make no `String` and allocate nothing.
extension ReceivedFields {
    /// Calls `body` with the bytes of the first value of a name, and returns its result; nil: there is no such value.
    ///
    /// - Parameter lowercasedName: the name, ASCII, in lower case.
    package func withFirst<Result>(
        _ lowercasedName: StaticString, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result? {
        withValues(of: lowercasedName) { body($0) }
    }

    /// Returns the first value of a name; nil: there is none.
    ///
    /// - Parameter lowercasedName: the name, ASCII, in lower case.
    package func first(_ lowercasedName: StaticString) -> String? {
        withFirst(lowercasedName) { Section.text($0) }
    }

    /// Whether there is a line of this name.
    ///
    /// - Parameter lowercasedName: the name, ASCII, in lower case.
    package func contains(_ lowercasedName: StaticString) -> Bool {
        withFirst(lowercasedName) { _ in true } ?? false
    }

    /// Whether a comma-separated list contains a token, without regard to case. All lines of this name are searched
    /// (RFC 9110 §5.6.1).
    ///
    /// - Parameters:
    ///   - lowercasedToken: the token, ASCII, in lower case.
    ///   - lowercasedName: the name, ASCII, in lower case.
    package func containsToken(_ lowercasedToken: StaticString, in lowercasedName: StaticString) -> Bool {
        lowercasedToken.withUTF8Buffer { token in
            let token = UnsafeRawBufferPointer(token)
            return withValues(of: lowercasedName) { value in
                var found = false
                value.forEachListElement { found = found || $0.equals(lowercased: token) }
                return found ? true : nil
            } ?? false
        }
    }

    /// Calls `body` with each element of a comma-separated list. All lines of this name form one list (RFC 9110 §5.3).
    ///
    /// - Parameter lowercasedName: the name, ASCII, in lower case.
    package func forEachListElement(of lowercasedName: StaticString, _ body: (UnsafeRawBufferPointer) -> Void) {
        _ = withValues(of: lowercasedName) { value -> Never? in
            value.forEachListElement(body)
            return nil
        }
    }

    /// Calls `body` with the bytes of each value of a name, in order.
    ///
    /// - Parameter lowercasedName: the name, ASCII, in lower case.
    package func forEachValue(of lowercasedName: StaticString, _ body: (UnsafeRawBufferPointer) -> Void) {
        _ = withValues(of: lowercasedName) { value -> Never? in
            body(value)
            return nil
        }
    }

    /// Whether all values of a name have the same bytes. True if there are none.
    ///
    /// - Parameter lowercasedName: the name, ASCII, in lower case.
    package func hasEqualValues(of lowercasedName: StaticString) -> Bool {
        var first: [UInt8]?
        return withValues(of: lowercasedName) { value -> Bool? in
            guard let known = first else {
                first = Array(value)
                return nil
            }
            return value.elementsEqual(known) ? nil : false
        } ?? true
    }

    /// Calls `body` with one value of a name after another until `body` returns a result. Returns this result; nil:
    /// `body` returned none.
    private func withValues<Result>(
        of lowercasedName: StaticString, _ body: (UnsafeRawBufferPointer) -> Result?
    ) -> Result? {
        lowercasedName.withUTF8Buffer { name in
            let name = UnsafeRawBufferPointer(name)
            switch storage {
            case .none: return nil
            case .received(let section): return section.withValues(ofLowercased: name, body)
            case .made(let fields):
                for field in fields where field.name.canonicalName.utf8.equals(name) {
                    let result = field.withUnsafeBytesOfValue { body(UnsafeRawBufferPointer($0)) }
                    if let result { return result }
                }
                return nil
            }
        }
    }
}

extension String.UTF8View {
    /// Whether these bytes equal `other`. Most of the compared names differ in their length.
    fileprivate func equals(_ other: UnsafeRawBufferPointer) -> Bool { count == other.count && elementsEqual(other) }
}

extension UnsafeRawBufferPointer {
    /// Whether these bytes, with `A` to `Z` counted as `a` to `z`, equal `other`.
    package func equals(lowercased other: UnsafeRawBufferPointer) -> Bool {
        guard count == other.count else { return false }
        // Most of the compared names differ in their first byte.
        guard count > 0, self[0] | 0x20 == other[0] | 0x20 else { return count == 0 }
        guard count >= 8 else {
            return indices.allSatisfy { index in
                let byte = self[index]
                let isUppercase = byte &- 0x41 < 26
                return (isUppercase ? byte | 0x20 : byte) == other[index]
            }
        }
        // Compares eight bytes at a time. The last eight may overlap those before them.
        var position = 0
        while position + 8 < count {
            guard equalsWord(ofLowercased: other, at: position) else { return false }
            position += 8
        }
        return equalsWord(ofLowercased: other, at: count - 8)
    }

    /// Whether eight of these bytes, with `A` to `Z` counted as `a` to `z`, equal the eight bytes of `other` at the
    /// same position.
    @inline(__always)
    private func equalsWord(ofLowercased other: UnsafeRawBufferPointer, at position: Int) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        let word = other.loadUnaligned(fromByteOffset: position, as: UInt64.self)
        let difference = word ^ loadUnaligned(fromByteOffset: position, as: UInt64.self)
        // Upper and lower case differ in one bit. This bit may differ where `other` has a letter.
        let low = word & ~tops
        let letters = (low &+ ones &* (0x80 - 0x61)) & ~(low &+ ones &* (0x80 - 0x7B)) & ~word & tops
        return difference & ~(letters >> 2) == 0
    }

    /// Calls `body` with each element of a comma-separated list, without the whitespace around it. Skips empty elements
    /// (RFC 9110 §5.6.1.2).
    package func forEachListElement(_ body: (UnsafeRawBufferPointer) -> Void) {
        var start = 0
        while start < count {
            var end = start
            while end < count, self[end] != UInt8(ascii: ",") { end += 1 }
            let element = UnsafeRawBufferPointer(rebasing: self[start..<end]).trimmingWhitespace()
            if !element.isEmpty { body(element) }
            start = end + 1
        }
    }

    /// Returns these bytes without spaces and tabs at either end (`OWS`, RFC 9110 §5.6.3).
    package func trimmingWhitespace() -> UnsafeRawBufferPointer {
        var start = 0
        var end = count
        while start < end, self[start] == 0x20 || self[start] == 0x09 { start += 1 }
        while end > start, self[end - 1] == 0x20 || self[end - 1] == 0x09 { end -= 1 }
        return UnsafeRawBufferPointer(rebasing: self[start..<end])
    }
}
