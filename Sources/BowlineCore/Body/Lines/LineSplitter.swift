package import NIOCore

/// Cuts the bytes of a body into lines, wherever its chunks end. Pure: bytes go in, lines come out.
package struct LineSplitter {
    /// The bytes that end a line.
    package enum Ending: Sendable {
        /// LF, or CRLF. A CR elsewhere belongs to the line. The bytes after the last end are a line too, unless there are none.
        case lineFeed
        /// LF, CRLF or CR. The bytes after the last end are no line.
        case any
    }

    /// A line is longer than it may be.
    package struct TooLong: Error {}

    private let ending: Ending
    /// The beginning of a line whose end has not come.
    private var partial = ByteBuffer()
    private var chunk = ByteBuffer()
    /// The last line ended in a CR: an LF behind it belongs to the same end.
    private var skipsLineFeed = false
    private var isAtStart = true

    package init(_ ending: Ending) {
        self.ending = ending
    }

    /// Takes the next bytes. Called once ``next(maximum:)`` has said that there is no further line.
    package mutating func append(_ bytes: ByteBuffer) {
        chunk = bytes
    }

    /// The next line without its end; nil: its end has not come.
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

    /// The last line of the body, if it has no end.
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

    /// Appends bytes to the line. They may be all of it but its end.
    private mutating func keep(_ bytes: ByteBuffer, _ maximum: Int) throws(TooLong) {
        let count = partial.readableBytes + bytes.readableBytes
        if count > maximum {
            // One byte more is well if it is the CR of a CRLF.
            let last = bytes.readableBytesView.last ?? partial.readableBytesView.last
            let isReturn = ending == .lineFeed && last == Self.carriageReturn
            guard isReturn, count - 1 <= maximum else { throw TooLong() }
        }
        partial.writeImmutableBuffer(bytes)
    }

    /// Takes a byte order mark off the first line.
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
