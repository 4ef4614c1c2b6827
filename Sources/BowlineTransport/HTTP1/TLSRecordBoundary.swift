internal import NIOCore

/// Tracks whether the bytes received so far end between two TLS records or inside one.
///
/// The received part of an unfinished record cannot be seen elsewhere: the kernel no longer has it, and the TLS handler
/// does not deliver it yet. If there is such a part before a request is written, the connection is not silent, even if
/// ``SocketPeek`` finds nothing.
///
/// This handler comes before the TLS handler. It passes on all bytes except those that ``forbidRenegotiation()``
/// forbids.
final class TLSRecordBoundary: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// Content type, version, length (RFC 8446 §5.1).
    private static let headerSize = 5

    /// Content types (RFC 5246 §6.2.1).
    private static let changeCipherSpec: UInt8 = 20
    private static let handshake: UInt8 = 22

    private var headerBytes = 0
    private var length = 0
    private var remaining = 0
    private var hasChangedCipher = false
    /// Handshake records since the peer began to encrypt. The first one ends TLS 1.2's handshake. Not counted beyond
    /// two.
    private var encryptedHandshakeRecords = 0
    private var forbidsRenegotiation = false
    private var hasEnded = false

    /// The boundary of the TLS session within this one: the origin's, if this is the proxy's.
    var inner: TLSRecordBoundary?

    /// Whether a part of a record has arrived, but not all of it, in this session or the one within it.
    var isInsideRecord: Bool { headerBytes > 0 || remaining > 0 || inner?.isInsideRecord == true }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unwrapInboundIn(data).withUnsafeReadableBytes { follow($0) }
        if forbidsRenegotiation, asksToRenegotiate {
            guard !hasEnded else { return }
            hasEnded = true
            context.fireErrorCaught(TLSFailure(.renegotiation))
            context.close(promise: nil)
            return
        }
        context.fireChannelRead(data)
    }

    /// Makes the handler close the connection when a TLS 1.2 peer asks for a second handshake. Call it after the first
    /// handshake.
    ///
    /// - Returns: false if the peer has asked already.
    func forbidRenegotiation() -> Bool {
        forbidsRenegotiation = true
        return !asksToRenegotiate
    }

    /// Whether the peer asks for a second handshake. The type of a record can be seen because its header is not
    /// encrypted.
    private var asksToRenegotiate: Bool { encryptedHandshakeRecords > 1 }

    /// Follows the records in `bytes`.
    func follow(_ bytes: UnsafeRawBufferPointer) {
        var index = 0
        while index < bytes.count {
            if remaining > 0 {
                let step = min(remaining, bytes.count - index)
                remaining -= step
                index += step
                continue
            }
            if headerBytes == 0 { begins(bytes[index]) }
            if headerBytes == 3 { length = Int(bytes[index]) << 8 }
            if headerBytes == 4 { length |= Int(bytes[index]) }
            headerBytes += 1
            index += 1
            if headerBytes == Self.headerSize {
                headerBytes = 0
                remaining = length
            }
        }
    }

    private func begins(_ type: UInt8) {
        if type == Self.changeCipherSpec { hasChangedCipher = true }
        if type == Self.handshake, hasChangedCipher, encryptedHandshakeRecords < 2 { encryptedHandshakeRecords += 1 }
    }
}
