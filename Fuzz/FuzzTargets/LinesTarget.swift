import BowlineCore
import NIOCore

/// Lines and server-sent events: the same however the body is cut, and the same as those of a second implementation.
///
/// Content: the body. Numbers: the end of a line, whether the length of lines is limited, the limit, the cuts.
enum LinesTarget {
    private struct Read: Equatable {
        var lines: [[UInt8]] = []
        var isTooLong = false
    }

    static func check(_ input: FuzzInput) throws {
        var input = input
        let ending = input.takeFlag() ? LineSplitter.Ending.any : .lineFeed
        let maximum = input.takeFlag() ? input.takeNumber(in: 0...255) : 1 << 30
        let cuts = input.takeCuts()
        let bytes = input.content

        let whole = try read([bytes[...]], ending, maximum)
        for way in [cuts, .everyByte] {
            let cut = try read(way.pieces(of: bytes), ending, maximum)
            try promise(cut == whole, "whole: \(whole), cut: \(cut)")
        }
        if !whole.isTooLong {
            let model = lines(of: bytes, endingIn: ending)
            try promise(whole.lines == model, "lines \(whole.lines), must be \(model)")
        }
        if ending == .any { try checkEvents(whole.lines, maximum) }
    }

    private static func read(
        _ pieces: [ArraySlice<UInt8>], _ ending: LineSplitter.Ending, _ maximum: Int
    ) throws -> Read {
        var splitter = LineSplitter(ending)
        var read = Read()
        do throws(LineSplitter.TooLong) {
            for piece in pieces {
                splitter.append(ByteBuffer(bytes: piece))
                while let line = try splitter.next(maximum: maximum) {
                    read.lines.append(Array(line.readableBytesView))
                }
            }
            if let last = try splitter.finish(maximum: maximum) { read.lines.append(Array(last.readableBytesView)) }
        } catch {
            read.isTooLong = true
        }
        for line in read.lines {
            try promise(line.count <= maximum, "a line of \(line.count) bytes, the limit is \(maximum)")
        }
        return read
    }

    /// Splits a whole body into lines.
    private static func lines(of bytes: [UInt8], endingIn ending: LineSplitter.Ending) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        var line: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            guard byte == 0x0A || (byte == 0x0D && ending == .any) else {
                line.append(byte)
                continue
            }
            if byte == 0x0D, index < bytes.count, bytes[index] == 0x0A { index += 1 }
            if ending == .lineFeed, line.last == 0x0D { line.removeLast() }
            lines.append(line)
            line = []
        }
        if ending == .lineFeed, !line.isEmpty { lines.append(line) }
        guard let first = lines.first, first.starts(with: [0xEF, 0xBB, 0xBF]) else { return lines }
        lines[0] = Array(first.dropFirst(3))
        // A byte order mark alone, without the end of a line, is not a line.
        if lines == [[]], !bytes.contains(0x0A), ending == .lineFeed { return [] }
        return lines
    }

    private static func checkEvents(_ lines: [[UInt8]], _ maximum: Int) throws {
        for event in events(of: lines, maximum) {
            // Each byte that is not UTF-8 becomes U+FFFD, which has three bytes.
            try promise(event.data.utf8.count <= 3 * maximum, "\(event.data.utf8.count) bytes of data")
            try promise(!event.type.isEmpty, "an event has a type")
            try promise(!event.id.utf8.contains(0), "an event ID has no NUL")
            try promise(event.retry.map { $0 >= .zero } ?? true, "an event's retry time is not negative")
            let values = [event.type, event.id].flatMap { Array($0.utf8) }
            try promise(!values.contains(0x0A) && !values.contains(0x0D), "a type and an ID are of one line")
        }
    }

    /// Returns the events before the first one that is too long.
    private static func events(of lines: [[UInt8]], _ maximum: Int) -> [ServerSentEvent] {
        var assembler = EventAssembler(maximum: maximum)
        var events: [ServerSentEvent] = []
        do throws(EventAssembler.TooLong) {
            for line in lines {
                if let event = try assembler.line(ByteBuffer(bytes: line)) { events.append(event) }
            }
        } catch {
            return events
        }
        return events
    }
}
