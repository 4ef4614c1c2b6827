internal import NIOCore

extension PreparedRequest {
    private static let allocator = ByteBufferAllocator()

    /// The head as HTTP/1.1 has it, and behind it the body if that goes out with the head: one buffer, one write.
    func http1Head() -> ByteBuffer {
        // Room for both at once. The channel's own allocator cannot be had outside of the event loop without a lock.
        var buffer = Self.allocator.buffer(capacity: checked.maximumHeadBytes + inlineBody.readableBytes)
        HTTP1RequestWriter.write(checked, into: &buffer)
        buffer.writeImmutableBuffer(inlineBody)
        return buffer
    }
}
