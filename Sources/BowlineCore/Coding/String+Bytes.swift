extension String {
    /// Whether the strings have the same bytes in UTF-8. `==` is true for more: it takes texts that differ only in their
    /// normal form as equal, which peers and systems do not.
    package func hasBytes(of other: String) -> Bool { utf8.elementsEqual(other.utf8) }

    /// Calls `body` with the string's bytes in UTF-8, and returns its result. The bytes are valid during the call only.
    ///
    /// This avoids `withUTF8` where possible: it can be called only on a variable, so the string would be copied, which
    /// costs a retain and a release.
    @inlinable @inline(__always)
    package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        if let result = utf8.withContiguousStorageIfAvailable({ body(UnsafeRawBufferPointer($0)) }) { return result }
        // The storage of a bridged string is not contiguous. Only Apple's systems have bridged strings.
        var copy = self
        return copy.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }
}
