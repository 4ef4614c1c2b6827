import BowlineCore

/// Scans the field lines of a head or a trailer section as their bytes arrive (RFC 9112 §5, §7.1.2). Reads no byte more
/// than twice.
///
/// Each call gets the section's bytes from its beginning; the scanner continues where it stopped. Positions are offsets
/// into the section. An invalid line is refused at its first invalid byte.
///
/// | phase | next byte | then |
/// |---|---|---|
/// | `lineStart` | CR | `sectionEnd` |
/// | | SP, HTAB | `value` of the field above (only in a head, and only if that field does not frame the message) |
/// | | token | `name` |
/// | `name` | token… `:` | `value` |
/// | `value` | text… CR | `valueEnd` |
/// | `valueEnd` | LF | `lineStart`; the field is noted |
/// | `sectionEnd` | LF | finished |
struct HTTP1FieldScanner: Sendable {
    private enum Phase {
        case lineStart, name, value, valueEnd, sectionEnd
    }

    /// A piece of a folded value, which must be moved to follow the piece before it.
    struct Fold: Sendable {
        var source: UInt32
        var count: UInt32
        var target: UInt32
    }

    private let isTrailer: Bool
    private var phase = Phase.lineStart
    private var lineStart: Int
    private var valueStart = 0
    private var isFolded = false
    private var mayBeFolded = false
    private var lines = 0

    /// The position of the next byte to scan. When the section is complete: its length.
    private(set) var position: Int
    private(set) var spans: [ReceivedFields.Span] = []
    /// The pieces that ``applyFolds(to:)`` must move, in this order. Before it has moved them, the spans are not valid.
    private(set) var folds: [Fold] = []
    var framing = HTTP1FramingFields()

    init(isTrailer: Bool, startingAt position: Int) {
        self.isTrailer = isTrailer
        self.position = position
        lineStart = position
    }

    /// Scans more bytes. Returns whether the section is complete.
    mutating func scan(
        _ bytes: UnsafeRawBufferPointer, limits: HTTP1Limits
    ) throws(HTTP1ParseError) -> Bool {
        while position < bytes.count {
            switch phase {
            case .lineStart:
                try takeWholeLines(bytes, limits: limits)
                guard position < bytes.count else { return false }
                try beginLine(with: bytes[position], limits: limits)
            case .name: try scanName(bytes)
            case .value: try scanValue(bytes)
            case .valueEnd:
                guard bytes[position] == HTTP1Grammar.lineFeed else { throw failure(.bareCarriageReturn) }
                try endLine(bytes, limits: limits)
            case .sectionEnd:
                guard bytes[position] == HTTP1Grammar.lineFeed else { throw failure(.bareCarriageReturn) }
                position += 1
                return true
            }
        }
        return false
    }

    /// Takes complete lines of the usual form `name: value`, CR, LF. Stops at the first line that is not of this form
    /// or not complete; the caller scans that line byte by byte.
    private mutating func takeWholeLines(
        _ bytes: UnsafeRawBufferPointer, limits: HTTP1Limits
    ) throws(HTTP1ParseError) {
        let maximumLines = isTrailer ? limits.maximumTrailerFields : limits.maximumFields
        var line = position
        while lines < maximumLines {
            let nameEnd = HTTP1Grammar.endOfToken(in: bytes, from: line)
            guard nameEnd > line, nameEnd < bytes.count, bytes[nameEnd] == HTTP1Grammar.colon else { return }
            let textEnd = HTTP1Grammar.endOfText(in: bytes, from: nameEnd + 1)
            guard textEnd + 1 < bytes.count, bytes[textEnd] == HTTP1Grammar.carriageReturn,
                bytes[textEnd + 1] == HTTP1Grammar.lineFeed
            else { return }
            let value = Self.trimmed(bytes, from: nameEnd + 1, to: textEnd)
            if spans.isEmpty { spans.reserveCapacity(16) }
            spans.append(
                ReceivedFields.Span(
                    nameStart: UInt32(truncatingIfNeeded: line), nameEnd: UInt32(truncatingIfNeeded: nameEnd),
                    valueStart: UInt32(truncatingIfNeeded: value.lowerBound),
                    valueEnd: UInt32(truncatingIfNeeded: value.upperBound)
                )
            )
            lines += 1
            if !isTrailer {
                do {
                    mayBeFolded = try !framing.note(bytes, name: line..<nameEnd, value: value, limits: limits)
                } catch {
                    throw failure(error.reason)
                }
            }
            isFolded = false
            line = textEnd + 2
            position = line
        }
    }

    @inline(__always)
    private static func trimmed(_ bytes: UnsafeRawBufferPointer, from start: Int, to end: Int) -> Range<Int> {
        var (start, end) = (start, end)
        while start < end, HTTP1Grammar.isWhitespace(bytes[start]) { start += 1 }
        while end > start, HTTP1Grammar.isWhitespace(bytes[end - 1]) { end -= 1 }
        return start..<end
    }

    private mutating func beginLine(with byte: UInt8, limits: HTTP1Limits) throws(HTTP1ParseError) {
        if byte == HTTP1Grammar.carriageReturn {
            phase = .sectionEnd
            position += 1
            return
        }
        lineStart = position
        lines += 1
        guard lines <= (isTrailer ? limits.maximumTrailerFields : limits.maximumFields) else {
            throw failure(.tooManyFields)
        }
        switch byte {
        case _ where HTTP1Grammar.isToken(byte): phase = .name
        case HTTP1Grammar.space, HTTP1Grammar.tab:
            // RFC 9112 §5.2 requires a user agent to unfold. A fold is refused nevertheless if it could hide how the
            // message ends.
            guard !isTrailer else { throw failure(.foldedTrailer) }
            guard !spans.isEmpty else { throw failure(.foldBeforeFirstField) }
            guard mayBeFolded else { throw failure(.foldedFramingField) }
            isFolded = true
            valueStart = position
            phase = .value
        case HTTP1Grammar.colon: throw failure(.emptyFieldName)
        case HTTP1Grammar.lineFeed: throw failure(.bareLineFeed)
        default: throw failure(.invalidFieldName, byte: byte)
        }
    }

    @inline(__always)
    private mutating func scanName(_ bytes: UnsafeRawBufferPointer) throws(HTTP1ParseError) {
        position = HTTP1Grammar.endOfToken(in: bytes, from: position)
        guard position < bytes.count else { return }
        let byte = bytes[position]
        guard byte == HTTP1Grammar.colon else {
            switch byte {
            case HTTP1Grammar.space, HTTP1Grammar.tab: throw failure(.whitespaceInFieldName)
            case HTTP1Grammar.carriageReturn, HTTP1Grammar.lineFeed: throw failure(.missingColon)
            default: throw failure(.invalidFieldName, byte: byte)
            }
        }
        if spans.isEmpty { spans.reserveCapacity(16) }
        let (start, end) = (UInt32(truncatingIfNeeded: lineStart), UInt32(truncatingIfNeeded: position))
        spans.append(ReceivedFields.Span(nameStart: start, nameEnd: end, valueStart: end + 1, valueEnd: end + 1))
        position += 1
        valueStart = position
        isFolded = false
        phase = .value
    }

    @inline(__always)
    private mutating func scanValue(_ bytes: UnsafeRawBufferPointer) throws(HTTP1ParseError) {
        position = HTTP1Grammar.endOfText(in: bytes, from: position)
        guard position < bytes.count else { return }
        let byte = bytes[position]
        guard byte == HTTP1Grammar.carriageReturn else {
            if byte == HTTP1Grammar.lineFeed { throw failure(.bareLineFeed) }
            throw failure(.invalidFieldValue, byte: byte)
        }
        position += 1
        phase = .valueEnd
    }

    /// Ends a field line: the next byte is its line feed.
    private mutating func endLine(
        _ bytes: UnsafeRawBufferPointer, limits: HTTP1Limits
    ) throws(HTTP1ParseError) {
        let value = Self.trimmed(bytes, from: valueStart, to: position - 1)
        let (start, end) = (value.lowerBound, value.upperBound)
        position += 1
        phase = .lineStart

        let last = spans.count - 1
        if isFolded {
            unfold(start..<end, into: last)
        } else {
            spans[last].valueStart = UInt32(truncatingIfNeeded: start)
            spans[last].valueEnd = UInt32(truncatingIfNeeded: end)
            guard !isTrailer else { return }
            let name = Int(spans[last].nameStart)..<Int(spans[last].nameEnd)
            do {
                mayBeFolded = try !framing.note(bytes, name: name, value: start..<end, limits: limits)
            } catch {
                throw failure(error.reason)
            }
        }
    }

    /// Joins a continuation to its value by one space (RFC 9112 §5.2 allows one or more). The bytes are moved when the
    /// section is complete, so that scanning never writes.
    private mutating func unfold(_ piece: Range<Int>, into index: Int) {
        guard !piece.isEmpty else { return }
        let source = UInt32(truncatingIfNeeded: piece.lowerBound)
        let count = UInt32(truncatingIfNeeded: piece.count)
        if spans[index].valueStart == spans[index].valueEnd {
            spans[index].valueStart = source
            spans[index].valueEnd = source + count
        } else {
            // Invariant: the target lies before the source, because at least a CR and an LF stand between the two
            // pieces.
            let target = spans[index].valueEnd + 1
            folds.append(Fold(source: source, count: count, target: target))
            spans[index].valueEnd = target + count
        }
    }

    /// Moves the pieces of folded values together. After this the spans are valid.
    func applyFolds(to bytes: UnsafeMutableRawBufferPointer) {
        for fold in folds {
            let (source, target, count) = (Int(fold.source), Int(fold.target), Int(fold.count))
            bytes[target - 1] = HTTP1Grammar.space
            let piece = UnsafeRawBufferPointer(rebasing: bytes[source..<(source + count)])
            UnsafeMutableRawBufferPointer(rebasing: bytes[target..<(target + count)]).copyMemory(from: piece)
        }
    }

    private func failure(_ reason: HTTP1ParseError.Reason, byte: UInt8? = nil) -> HTTP1ParseError {
        // A head's first line is the status line.
        HTTP1ParseError(reason, line: isTrailer ? max(lines, 1) : max(lines, 1) + 1, byte: byte)
    }
}
