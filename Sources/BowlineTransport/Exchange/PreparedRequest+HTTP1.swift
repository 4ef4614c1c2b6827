internal import NIOCore

extension PreparedRequest {
    private static let allocator = ByteBufferAllocator()

    /// Encodes the head for HTTP/1.1. A body that is sent with the head follows in the same buffer, so that one write
    /// sends both.
    func http1Head() -> ByteBuffer {
        // One allocation for head and body. The channel's own allocator would need a lock outside the event loop.
        var buffer = Self.allocator.buffer(capacity: checked.maximumHeadBytes + inlineBody.readableBytes)
        HTTP1RequestWriter.write(checked, into: &buffer)
        buffer.writeImmutableBuffer(inlineBody)
        return buffer
    }
}
