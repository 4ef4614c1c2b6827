package import NIOCore

/// Splits the bytes of a body into lines. Where the body's chunks end does not matter. Pure.
package struct LineSplitter {
    /// The bytes that end a line.
    package enum Ending: Sendable {
        /// LF or CRLF. Any other CR belongs to the line. Bytes after the last line end are a line too.
        case lineFeed
        /// LF, CRLF or CR. Bytes after the last line end are dropped.
        case any
    }

    /// The error for a line that is too long.
    package struct TooLong: Error {}

    private let ending: Ending
    /// The beginning of a line whose end has not arrived.
    private var partial = ByteBuffer()
    private var chunk = ByteBuffer()
    /// Whether the last line ended in a CR: an LF right after it belongs to the same line end.
    private var skipsLineFeed = false
    private var isAtStart = true

    package init(_ ending: Ending) {
        self.ending = ending
    }

    /// Adds the next bytes. Call it only after ``next(maximum:)`` has returned nil.
    package mutating func append(_ bytes: ByteBuffer) {
        chunk = bytes
    }

    /// Returns the next line without its line end; nil: the line end has not arrived.
    package mutating func next(maximum: Int) throws(TooLong) -> ByteBuffer? {
        if skipsLineFeed, let first = chunk.readableBytesView.first {
            skipsLineFeed = false
            if first == Self.lineFeed { chunk.moveReaderIndex(forwardBy: 1) }
        }
        guard let length = lengthToEnd, let rest = chunk.readSlice(length: length) else {
            try keep(chunk, maximum)
            chunk = ByteBuffer()
            return nil
        }
        skipsLineFeed = chunk.readInteger(as: UInt8.self) == Self.carriageReturn
        var line = rest
        if partial.readableBytes > 0 {
            try keep(rest, maximum)
            line = partial
            partial = ByteBuffer()
        }
        if ending == .lineFeed, line.readableBytesView.last == Self.carriageReturn {
            line.moveWriterIndex(to: line.writerIndex - 1)
        }
        guard line.readableBytes <= maximum else { throw TooLong() }
        return withoutMark(line)
    }

    /// Returns the last line of the body if it has no line end; else nil.
    package mutating func finish(maximum: Int) throws(TooLong) -> ByteBuffer? {
        guard ending == .lineFeed, partial.readableBytes > 0 else { return nil }
        guard partial.readableBytes <= maximum else { throw TooLong() }
        let last = withoutMark(partial)
        partial = ByteBuffer()
        return last.readableBytes > 0 ? last : nil
    }

    private var lengthToEnd: Int? {
        let bytes = chunk.readableBytesView
        let end =
            switch ending {
            case .lineFeed: bytes.firstIndex(of: Self.lineFeed)
            case .any: bytes.firstIndex { $0 == Self.lineFeed || $0 == Self.carriageReturn }
            }
        return end.map { $0 - bytes.startIndex }
    }

    /// Appends bytes to the partial line. The line's end is not among them.
    private mutating func keep(_ bytes: ByteBuffer, _ maximum: Int) throws(TooLong) {
        let count = partial.readableBytes + bytes.readableBytes
        if count > maximum {
            // One byte above the maximum is allowed if it is a CR, because the CR may belong to a CRLF.
            let last = bytes.readableBytesView.last ?? partial.readableBytesView.last
            let isReturn = ending == .lineFeed && last == Self.carriageReturn
            guard isReturn, count - 1 <= maximum else { throw TooLong() }
        }
        partial.writeImmutableBuffer(bytes)
    }

    /// Removes a byte order mark from the first line.
    private mutating func withoutMark(_ line: ByteBuffer) -> ByteBuffer {
        guard isAtStart else { return line }
        isAtStart = false
        var line = line
        if line.readableBytesView.starts(with: [0xEF, 0xBB, 0xBF]) { line.moveReaderIndex(forwardBy: 3) }
        return line
    }

    private static let lineFeed = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")
}
