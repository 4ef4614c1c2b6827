internal import NIOCore

/// What a client has sent and nobody has read yet, and how the connection ended.
struct Inbound: Sendable {
    /// More unread bytes than this, and the socket is not read until a script reads.
    static let limit = 1 << 20

    var buffer = ByteBuffer()
    var end: ConnectionEnd?
    /// A script waits for more.
    var isAwaited = false
    /// The socket is not read because ``limit`` was passed.
    var isThrottled = false
    /// The socket is not read because the script wants it so.
    var isPaused = false
    /// How many of the unread bytes have been searched in vain.
    private var scanned = 0

    init() {}

    /// Takes bytes from the socket.
    ///
    /// - Returns: whether the socket has to be left alone now.
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

    /// The bytes up to the first occurrence of `terminator`, which they include and which ends with LF.
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

    /// The next `count` bytes, which must be there.
    ///
    /// A copy: a slice would share its storage with what the socket's thread appends to, which is right, but not in a way
    /// that the thread sanitizer can follow.
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
