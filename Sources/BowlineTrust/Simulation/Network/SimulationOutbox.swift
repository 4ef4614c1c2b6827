internal import NIOCore

/// The writes of a channel that the network has not taken yet.
///
/// The network takes bytes of writes that were flushed, in their order, and any part of a write.
struct SimulationOutbox {
    private var writes = CircularBuffer<(bytes: ByteBuffer, promise: EventLoopPromise<Void>?)>()
    /// How many writes, from the first on, were flushed.
    private var flushed = 0
    /// How many bytes wait.
    private(set) var count = 0

    var isEmpty: Bool { writes.isEmpty }

    mutating func add(_ bytes: ByteBuffer, _ promise: EventLoopPromise<Void>?) {
        writes.append((bytes, promise))
        count += bytes.readableBytes
    }

    mutating func flush() {
        flushed = writes.count
    }

    /// Takes bytes of the first flushed write, at most `room`. nil: none was flushed, or there is no room.
    ///
    /// - Returns: the bytes, and the promise of the write if these are its last.
    mutating func take(_ room: Int) -> (bytes: ByteBuffer, promise: EventLoopPromise<Void>?)? {
        guard flushed > 0, var first = writes.first, room > 0 || first.bytes.readableBytes == 0 else { return nil }
        let bytes = first.bytes.readSlice(length: min(room, first.bytes.readableBytes)) ?? ByteBuffer()
        count -= bytes.readableBytes
        if first.bytes.readableBytes == 0 {
            writes.removeFirst()
            flushed -= 1
            return (bytes, first.promise)
        }
        writes[writes.startIndex] = first
        return (bytes, nil)
    }

    /// Removes all writes. Returns their promises.
    mutating func removeAll() -> [EventLoopPromise<Void>] {
        defer { self = SimulationOutbox() }
        return writes.compactMap(\.promise)
    }
}
