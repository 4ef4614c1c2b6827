internal import NIOCore

/// Records which bodies and PINGs were written and have not been accepted by the kernel yet, in order. A mark is one
/// record.
///
/// Each tracked flush has one promise for all of its frames. When the promise succeeds, the kernel has accepted
/// everything that was written up to this flush.
struct HTTP2SentMarks<Stream: AnyObject> {
    enum Mark {
        /// Bytes of a request's body, or its trailers. `isLast`: the request ends with them.
        case body(Stream, count: Int, isLast: Bool)
        case ping(UInt64)
    }

    private var marks = CircularBuffer<Mark>(initialCapacity: 4)
    /// How many marks ``next(upTo:)`` has returned since the beginning.
    private var taken = 0
    /// How many marks have been flushed since the beginning.
    private var flushed = 0

    var isEmpty: Bool { marks.isEmpty }
    /// Whether flushed marks still wait for the kernel.
    var awaitsKernel: Bool { taken < flushed }

    mutating func add(_ mark: Mark) {
        // Several pieces of one body in a flush share one mark.
        if case .body(let stream, let count, let isLast) = mark, taken + marks.count > flushed,
            case .body(let lastStream, let lastCount, false)? = marks.last, lastStream === stream
        {
            marks[marks.index(before: marks.endIndex)] = .body(stream, count: lastCount + count, isLast: isLast)
        } else {
            marks.append(mark)
        }
    }

    /// Records that all marks so far are flushed. Returns a number for the flush, which is the argument of
    /// ``next(upTo:)``. nil: nothing was marked since the last flush.
    mutating func flush() -> Int? {
        let end = taken + marks.count
        guard end > flushed else { return nil }
        flushed = end
        return end
    }

    /// Removes and returns the next mark of a flush that the kernel has accepted. nil: no mark of it is left.
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
