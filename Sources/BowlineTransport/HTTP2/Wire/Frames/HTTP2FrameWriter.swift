package import NIOCore

/// Writes frames one after the other into one buffer, which ``take()`` returns (RFC 9113 §4, §6).
///
/// The writer does not check what may be sent: the session does. Stream numbers and increments are cut to 31 bits.
package struct HTTP2FrameWriter: Sendable {
    /// The largest buffer that is used again after the caller of ``take()`` has released it.
    private static let keptCapacity = 16_384

    private let allocator: ByteBufferAllocator
    /// The bytes written since the last ``take()``. Invariant: its reader index is 0.
    private var buffer = ByteBuffer()
    /// The buffer that ``take()`` returned last. Nothing is written to it while the caller has it.
    private var spare = ByteBuffer()
    /// The capacity of a new buffer: as many bytes as the last buffer had.
    private var expected = 256

    /// Makes a writer with nothing written.
    package init(allocator: ByteBufferAllocator = ByteBufferAllocator()) {
        self.allocator = allocator
    }

    /// How many bytes ``take()`` would return.
    package var byteCount: Int { buffer.readableBytes }

    /// Returns everything that was written since the last call. nil: nothing was written.
    ///
    /// The caller reads the buffer and releases it. Then the writer reuses the memory. Do not write to the buffer: that
    /// would copy all of it.
    package mutating func take() -> ByteBuffer? {
        guard buffer.readableBytes > 0 else { return nil }
        let taken = buffer
        expected = min(max(taken.readableBytes, 256), Self.keptCapacity)
        spare = taken.storageCapacity <= Self.keptCapacity ? taken : ByteBuffer()
        buffer = ByteBuffer()
        return taken
    }

    /// Writes the preface, which a client sends before its first frame. The first frame must be SETTINGS (RFC 9113
    /// §3.4).
    package mutating func preface() {
        begin(24)
        buffer.writeStaticString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    }

    package mutating func settings(_ entries: [HTTP2SettingEntry]) {
        write(HTTP2FrameHead(.settings, length: entries.count * 6)) { payload in
            for (index, entry) in entries.enumerated() {
                payload.storeBytes(of: entry.identifier.bigEndian, toByteOffset: index * 6, as: UInt16.self)
                payload.storeBytes(of: entry.value.bigEndian, toByteOffset: index * 6 + 2, as: UInt32.self)
            }
        }
    }

    package mutating func settingsAcknowledgement() {
        write(HTTP2FrameHead(.settings, flags: HTTP2FrameHead.acknowledgement, length: 0)) { _ in }
    }

    package mutating func ping(_ value: UInt64) {
        write(HTTP2FrameHead(.ping, length: 8)) { $0.storeBytes(of: value.bigEndian, as: UInt64.self) }
    }

    /// Writes the answer to a PING, with the value of that PING.
    package mutating func pong(_ value: UInt64) {
        write(HTTP2FrameHead(.ping, flags: HTTP2FrameHead.acknowledgement, length: 8)) {
            $0.storeBytes(of: value.bigEndian, as: UInt64.self)
        }
    }

    package mutating func reset(stream: Int, code: HTTP2ErrorCode) {
        write(HTTP2FrameHead(.reset, stream: stream, length: 4)) {
            $0.storeBytes(of: code.rawValue.bigEndian, as: UInt32.self)
        }
    }

    /// Writes GOAWAY without debug data.
    package mutating func goAway(lastStream: Int, code: HTTP2ErrorCode) {
        write(HTTP2FrameHead(.goAway, length: 8)) {
            $0.storeBytes(of: Self.number(lastStream).bigEndian, as: UInt32.self)
            $0.storeBytes(of: code.rawValue.bigEndian, toByteOffset: 4, as: UInt32.self)
        }
    }

    /// - Parameters:
    ///   - stream: The stream's number. 0: the connection.
    ///   - increment: 1 to 2³¹ − 1.
    package mutating func windowUpdate(stream: Int, increment: Int) {
        write(HTTP2FrameHead(.windowUpdate, stream: stream, length: 4)) {
            $0.storeBytes(of: Self.number(increment).bigEndian, as: UInt32.self)
        }
    }

    /// Writes DATA frames with payloads of at most `maximumFrameSize` bytes. Without bytes, writes one empty frame.
    ///
    /// The bytes are copied. The last frame has END_STREAM, if `endsStream`.
    package mutating func data(_ bytes: ByteBuffer, stream: Int, endsStream: Bool, maximumFrameSize: Int) {
        let size = Self.frameSize(maximumFrameSize)
        let count = bytes.readableBytes
        let total = count + (max(count - 1, 0) / size + 1) * HTTP2FrameHead.byteCount
        begin(total)
        bytes.withUnsafeReadableBytes { source in
            _ = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: total) { memory in
                var start = 0
                var written = 0
                repeat {
                    let length = min(size, count - start)
                    let isLast = start + length == count
                    HTTP2FrameHead(
                        .data, flags: isLast && endsStream ? HTTP2FrameHead.endStream : 0, stream: stream,
                        length: length
                    ).write(to: memory, at: written)
                    written += HTTP2FrameHead.byteCount
                    UnsafeMutableRawBufferPointer(rebasing: memory[written...])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[start..<start + length]))
                    written += length
                    start += length
                } while start < count
                return written
            }
        }
    }

    /// Writes HEADERS, and CONTINUATION frames if the section is longer than `maximumFrameSize`.
    ///
    /// - Parameter encode: Appends the compressed section to the given buffer, and changes no byte before it.
    /// - Returns: The section's compressed length in bytes.
    @discardableResult
    package mutating func headers(
        stream: Int, endsStream: Bool, maximumFrameSize: Int, encode: (inout ByteBuffer) -> Void
    ) -> Int {
        let size = Self.frameSize(maximumFrameSize)
        begin(expected)
        let start = buffer.writerIndex
        buffer.writeRepeatingByte(0, count: HTTP2FrameHead.byteCount)
        encode(&buffer)
        let length = buffer.writerIndex - start - HTTP2FrameHead.byteCount
        let continuations = max(length - 1, 0) / size
        if continuations > 0 {
            buffer.writeRepeatingByte(0, count: continuations * HTTP2FrameHead.byteCount)
        }
        buffer.withUnsafeMutableReadableBytes { memory in
            Self.split(length, in: memory, from: start, size: size, stream: stream)
            var flags = continuations == 0 ? HTTP2FrameHead.endHeaders : 0
            if endsStream { flags |= HTTP2FrameHead.endStream }
            HTTP2FrameHead(.headers, flags: flags, stream: stream, length: min(size, length))
                .write(to: memory, at: start)
        }
        return length
    }

    /// Moves the fragments apart and writes the CONTINUATION heads between them. Begins with the last fragment, so that
    /// no fragment is overwritten.
    private static func split(
        _ length: Int, in memory: UnsafeMutableRawBufferPointer, from start: Int, size: Int, stream: Int
    ) {
        let last = max(length - 1, 0) / size
        var index = last
        while index > 0 {
            let source = start + HTTP2FrameHead.byteCount + index * size
            let target = source + index * HTTP2FrameHead.byteCount
            let count = min(size, length - index * size)
            UnsafeMutableRawBufferPointer(rebasing: memory[target..<target + count])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[source..<source + count]))
            HTTP2FrameHead(
                .continuation, flags: index == last ? HTTP2FrameHead.endHeaders : 0, stream: stream, length: count
            ).write(to: memory, at: target - HTTP2FrameHead.byteCount)
            index -= 1
        }
    }

    @inline(__always)
    private mutating func write(_ head: HTTP2FrameHead, payload: (UnsafeMutableRawBufferPointer) -> Void) {
        let total = HTTP2FrameHead.byteCount + head.length
        begin(total)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: total) { memory in
            head.write(to: memory, at: 0)
            payload(UnsafeMutableRawBufferPointer(rebasing: memory[HTTP2FrameHead.byteCount..<total]))
            return total
        }
    }

    /// Gets a buffer if ``take()`` has returned the last one.
    @inline(__always)
    private mutating func begin(_ count: Int) {
        if buffer.capacity == 0 { allocate(max(count, expected)) }
    }

    @inline(never)
    private mutating func allocate(_ capacity: Int) {
        guard spare.capacity > 0 else {
            buffer = allocator.buffer(capacity: capacity)
            return
        }
        buffer = spare
        spare = ByteBuffer()
        // If the caller of `take` still has the buffer, this allocates other memory and does not change the buffer.
        buffer.clear(minimumCapacity: capacity)
    }

    private static func number(_ value: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: value) & 0x7FFF_FFFF
    }

    private static func frameSize(_ maximum: Int) -> Int {
        min(max(maximum, 1), HTTP2FrameHead.maximumLength)
    }
}
