extension String {
    /// Calls `body` with the string's bytes in UTF-8, and returns its result. The bytes are valid during the call only.
    ///
    /// `withUTF8` needs a variable, so a copy of the string, which costs a retain and a release.
    @inlinable @inline(__always)
    package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        if let result = utf8.withContiguousStorageIfAvailable({ body(UnsafeRawBufferPointer($0)) }) { return result }
        // The storage of a bridged string is not contiguous. Only Apple's systems have bridged strings.
        var copy = self
        return copy.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }
}
