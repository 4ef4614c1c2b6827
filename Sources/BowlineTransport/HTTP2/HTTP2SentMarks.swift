internal import NIOCore

/// What was written and of which the network has not said that it has it, in order.
///
/// Each flush that is followed has one promise, however many frames it has; when it is kept, so is all that was written
/// before.
struct HTTP2SentMarks<Stream: AnyObject> {
    enum Mark {
        /// Bytes of a request's body, or its trailers. `isLast`: the request ends with them.
        case body(Stream, count: Int, isLast: Bool)
        case ping(UInt64)
    }

    private var marks = CircularBuffer<Mark>(initialCapacity: 4)
    /// How many marks have been taken since the beginning.
    private var taken = 0
    /// How many have been flushed since the beginning.
    private var flushed = 0

    var isEmpty: Bool { marks.isEmpty }
    /// Whether the network has not taken all that was flushed.
    var awaitsNetwork: Bool { taken < flushed }

    mutating func add(_ mark: Mark) {
        // Several pieces of one body in a flush are one mark.
        if case .body(let stream, let count, let isLast) = mark, taken + marks.count > flushed,
            case .body(let lastStream, let lastCount, false)? = marks.last, lastStream === stream
        {
            marks[marks.index(before: marks.endIndex)] = .body(stream, count: lastCount + count, isLast: isLast)
        } else {
            marks.append(mark)
        }
    }

    /// What was marked goes out with this flush. Returns what ``next(upTo:)`` takes; nil: nothing was marked since the last.
    mutating func flush() -> Int? {
        let end = taken + marks.count
        guard end > flushed else { return nil }
        flushed = end
        return end
    }

    /// The next mark of a flush that the network has taken.
    mutating func next(upTo end: Int) -> Mark? {
        guard taken < end, let mark = marks.popFirst() else { return nil }
        taken += 1
        return mark
    }

    mutating func removeAll() {
        taken += marks.count
        flushed = taken
        marks.removeAll()
    }
}
