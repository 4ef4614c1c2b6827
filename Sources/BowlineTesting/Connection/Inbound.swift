internal import NIOCore

/// The bytes that a client has sent and no script has read yet, and how the connection ended.
struct Inbound: Sendable {
    /// The number of unread bytes above which the socket is not read until a script reads.
    static let limit = 1 << 20

    var buffer = ByteBuffer()
    var end: ConnectionEnd?
    /// Whether a script waits for more bytes.
    var isAwaited = false
    /// Whether the socket is not read because there are more than ``limit`` unread bytes.
    var isThrottled = false
    /// Whether the socket is not read because a script has paused reading.
    var isPaused = false
    /// How many of the unread bytes have been searched without a match.
    private var scanned = 0

    init() {}

    /// Adds bytes from the socket.
    ///
    /// - Returns: whether the connection must stop reading the socket.
    mutating func append(_ bytes: inout ByteBuffer) -> Bool {
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            if buffer.readerIndex > buffer.readableBytes { buffer.discardReadBytes() }
            buffer.writeBuffer(&bytes)
        }
        guard !isAwaited, !isThrottled, buffer.readableBytes > Self.limit else { return false }
        isThrottled = true
        return true
    }

    /// Takes the bytes up to and including the first occurrence of `terminator`, which must end with LF; nil if there
    /// is none.
    mutating func takeThrough(_ terminator: StaticString) -> ByteBuffer? {
        let start = scanned
        let found = buffer.withUnsafeReadableBytes { bytes -> Int? in
            var index = start
            while index < bytes.count {
                if bytes[index] == 0x0A, Self.ends(bytes[...index], with: terminator) { return index + 1 }
                index += 1
            }
            return nil
        }
        guard let found else {
            scanned = buffer.readableBytes
            return nil
        }
        return take(found)
    }

    /// Takes the next `count` bytes; nil if there are fewer.
    ///
    /// Returns a copy. A slice would share its storage with the buffer that the socket's thread appends to. That is
    /// correct, but the thread sanitizer would report it.
    mutating func take(_ count: Int) -> ByteBuffer? {
        scanned = 0
        guard var slice = buffer.readSlice(length: count) else { return nil }
        var copy = ByteBuffer()
        copy.reserveCapacity(count)
        copy.writeBuffer(&slice)
        return copy
    }

    private static func ends(_ bytes: Slice<UnsafeRawBufferPointer>, with terminator: StaticString) -> Bool {
        let length = terminator.utf8CodeUnitCount
        guard bytes.count >= length else { return false }
        return bytes.suffix(length).elementsEqual(UnsafeBufferPointer(start: terminator.utf8Start, count: length))
    }
}
