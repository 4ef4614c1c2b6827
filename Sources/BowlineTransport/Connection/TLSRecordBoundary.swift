internal import NIOCore

/// Knows whether the bytes received so far end between two TLS records or inside one.
///
/// What has arrived of an unfinished record is out of sight: the kernel no longer has it and TLS does not yet give it out.
/// A connection on which that is so before a request is written is not silent, whatever ``SocketPeek`` finds. Stands
/// before the TLS handler and passes everything on.
final class TLSRecordBoundary: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// Content type, version, length (RFC 8446 §5.1).
    private static let headerSize = 5

    private var headerBytes = 0
    private var length = 0
    private var remaining = 0

    /// Whether part of a record has arrived, and not all of it.
    var isInsideRecord: Bool { headerBytes > 0 || remaining > 0 }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unwrapInboundIn(data).withUnsafeReadableBytes { follow($0) }
        context.fireChannelRead(data)
    }

    /// Follows the records through `bytes`.
    func follow(_ bytes: UnsafeRawBufferPointer) {
        var index = 0
        while index < bytes.count {
            if remaining > 0 {
                let step = min(remaining, bytes.count - index)
                remaining -= step
                index += step
                continue
            }
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
}
