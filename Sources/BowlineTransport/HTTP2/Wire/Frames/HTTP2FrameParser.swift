package import NIOCore

/// Parses the frames that a server sends on one HTTP/2 connection, as their bytes arrive (RFC 9113 §4, §6).
///
/// A pure value. Call ``append(_:)`` with the bytes that were read, then ``next()`` until it returns nil. Appending
/// earlier is allowed, but copies bytes. The parser checks the facts that a frame alone shows: its length, its stream
/// number, its padding, its position in a field section. The session makes the checks that depend on the state of
/// streams and on settings. After an error of the connection, the parser returns only that error.
///
/// | state | input | next state |
/// |---|---|---|
/// | `head` | head of DATA | `data`; `padLength` if padded |
/// | | head of another known frame | `payload` |
/// | | head of an unknown frame, or an error of the stream | `skipping` |
/// | `payload` | the whole payload | `head`; after GOAWAY `skipping` (debug data) |
/// | `padLength` | the octet | `data` |
/// | `data` | last byte, padding included | `head` |
/// | `skipping` | last byte | `head` |
/// | any | an error of the connection | failed: `violation` is set |
///
/// CPU time is linear in the received bytes. A payload is copied only if it is not DATA and arrives in several pieces,
/// or if its field section has several frames. Memory: one payload, one field section (see ``HTTP2FrameLimits``), and
/// the bytes that were appended since ``next()`` last returned nil.
package struct HTTP2FrameParser: Sendable {
    enum State: Sendable {
        case head
        /// The frame is read once this many bytes are there together.
        case payload(Int)
        case padLength
        case data
        case skipping(Int)
    }

    /// The part of the current DATA frame that has not been returned yet.
    struct DataProgress: Sendable {
        var content = 0
        var padding = 0
        /// Bytes that have arrived and that no piece has counted yet: the octet with the padding's length.
        var uncounted = 0
    }

    /// A field section whose last frame has not arrived.
    struct Section: Sendable {
        var stream: Int
        var endsStream: Bool
        var isPush: Bool
        var block: ByteBuffer
        var continuations = 0
    }

    let limits: HTTP2FrameLimits
    var state = State.head
    /// The head of the current frame: set from `payload`, `padLength` or `data` until the next head is read.
    var head = HTTP2FrameHead(.settings, length: 0)
    var progress = DataProgress()
    var section: Section?
    /// Whether the server's first frame has arrived and is SETTINGS.
    var hasPreface = false
    /// The error that ended parsing.
    private var violation: HTTP2Violation?

    /// Bytes that were received and not parsed yet. The bytes in `partial` come before them.
    private var buffer = ByteBuffer()
    /// The beginning of a head or a payload that has not arrived completely, in separate memory.
    private var partial = ByteBuffer()

    /// Makes a parser for a connection.
    package init(limits: HTTP2FrameLimits = HTTP2FrameLimits()) {
        self.limits = limits
    }

    /// The number of bytes in memory: received and not parsed yet, or of a field section that has not ended.
    package var bufferedByteCount: Int {
        buffer.readableBytes + partial.readableBytes + (section?.block.readableBytes ?? 0)
    }

    /// Whether a frame or a field section has begun and not ended, so that the connection must not end here. False
    /// after an error.
    package var isWithinFrame: Bool {
        guard violation == nil else { return false }
        guard case .head = state else { return true }
        return section != nil || partial.readableBytes > 0 || buffer.readableBytes > 0
    }

    /// Adds bytes that were read. After an error they are dropped.
    package mutating func append(_ bytes: consuming ByteBuffer) {
        guard violation == nil, bytes.readableBytes > 0 else { return }
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            buffer.writeBuffer(&bytes)
        }
    }

    /// Returns the next frame, or the next piece of a DATA frame. nil: more bytes are needed.
    ///
    /// - Throws: A violation of scope `connection`. Each later call throws the same violation.
    package mutating func next() throws(HTTP2Violation) -> HTTP2ReceivedFrame? {
        if let violation { throw violation }
        do throws(HTTP2Violation) {
            while true {
                switch state {
                case .head:
                    guard gather(HTTP2FrameHead.byteCount) else { return nil }
                    head = read(HTTP2FrameHead.byteCount) { HTTP2FrameHead($0) }
                    if let frame = try acceptHead() { return frame }
                case .payload(let count):
                    guard gather(count) else { return nil }
                    state = .head
                    if let frame = try readPayload(count) { return frame }
                case .padLength:
                    guard gather(1) else { return nil }
                    try readPadLength()
                case .data: return nextPiece()
                case .skipping(let count):
                    guard dropAvailable(count) else { return nil }
                }
            }
        } catch {
            violation = error
            buffer = ByteBuffer()
            partial = ByteBuffer()
            section = nil
            throw error
        }
    }

    /// Skips the next `count` bytes before the next head.
    mutating func skip(_ count: Int) {
        state = count > 0 ? .skipping(count) : .head
    }

    /// Drops up to `count` bytes. Returns whether all of these bytes were there.
    private mutating func dropAvailable(_ count: Int) -> Bool {
        let available = min(count, buffer.readableBytes)
        buffer.moveReaderIndex(forwardBy: available)
        skip(count - available)
        if available < count { buffer = ByteBuffer() }
        return available == count
    }

    /// Returns the next piece of the current DATA frame: those of its bytes that have arrived. nil: none have arrived.
    private mutating func nextPiece() -> HTTP2ReceivedFrame? {
        let available = buffer.readableBytes
        guard available > 0 || progress.content + progress.padding == 0 else {
            buffer = ByteBuffer()
            return nil
        }
        let count = min(available, progress.content)
        let padding = min(available - count, progress.padding)
        let bytes = count > 0 ? buffer.readSlice(length: count) ?? ByteBuffer() : ByteBuffer()
        buffer.moveReaderIndex(forwardBy: padding)
        let windowBytes = count + padding + progress.uncounted
        progress.content -= count
        progress.padding -= padding
        progress.uncounted = 0
        let endsFrame = progress.content + progress.padding == 0
        if endsFrame { state = .head }
        return .data(
            stream: head.stream, bytes: bytes, windowBytes: windowBytes, endsFrame: endsFrame,
            endsStream: endsFrame && head.has(HTTP2FrameHead.endStream))
    }
}

// Reading bytes that must be in one piece: a head, or a payload other than DATA.
extension HTTP2FrameParser {
    /// Returns whether the next `count` bytes are together in memory. If they are not, copies the bytes that are there
    /// into separate memory, so that the read buffer is free for the next read.
    ///
    /// Invariant: `partial` is empty, or contains the beginning of these `count` bytes.
    private mutating func gather(_ count: Int) -> Bool {
        if partial.readableBytes == 0, buffer.readableBytes >= count { return true }
        return gatherPieces(count)
    }

    @inline(never)
    private mutating func gatherPieces(_ count: Int) -> Bool {
        if buffer.readableBytes > 0 {
            if partial.readableBytes == 0 { partial = ByteBufferAllocator().buffer(capacity: count) }
            let missing = min(count - partial.readableBytes, buffer.readableBytes)
            if var rest = buffer.readSlice(length: missing) { partial.writeBuffer(&rest) }
        }
        if partial.readableBytes == count { return true }
        buffer = ByteBuffer()
        return false
    }

    /// Reads bytes that `gather` has found.
    @inline(__always)
    mutating func read<Result>(_ count: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        if partial.readableBytes > 0 {
            let whole = partial
            partial = ByteBuffer()
            return whole.withUnsafeReadableBytes { body($0) }
        }
        let result = buffer.withUnsafeReadableBytes { body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        buffer.moveReaderIndex(forwardBy: count)
        return result
    }

    /// Removes and returns bytes that `gather` has found: a slice of the received bytes if they arrived together.
    mutating func take(_ count: Int) -> ByteBuffer {
        if partial.readableBytes > 0 {
            let whole = partial
            partial = ByteBuffer()
            return whole
        }
        return buffer.readSlice(length: count) ?? ByteBuffer()
    }
}
