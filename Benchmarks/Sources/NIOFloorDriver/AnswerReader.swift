import NIOCore

/// The status and the length of a body.
struct Answer: Sendable {
    let status: Int
    let bodyBytes: Int
}

/// Writes a request on an open connection, and reads until the server closes.
final class AnswerReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let request: ByteBuffer
    private let answer: EventLoopPromise<Answer>
    private var received = ByteBuffer()

    init(request: ByteBuffer, answer: EventLoopPromise<Answer>) {
        self.request = request
        self.answer = answer
    }

    func handlerAdded(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if received.readableBytes == 0 { received = bytes } else { received.writeBuffer(&bytes) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        guard let read = received.withUnsafeReadableBytes(Self.answer) else { return answer.fail(ChannelError.eof) }
        answer.succeed(read)
    }

    /// Reads the status, which is the second word of the first line, and looks for the end of the head; nil: the bytes
    /// are no answer.
    private static func answer(in bytes: UnsafeRawBufferPointer) -> Answer? {
        guard bytes.count > 12 else { return nil }
        let status = bytes[9..<12].reduce(0) { $0 * 10 + Int($1) - 0x30 }
        for position in 3..<bytes.count where bytes[position] == 0x0A {
            guard bytes[position - 1] == 0x0D, bytes[position - 2] == 0x0A else { continue }
            return Answer(status: status, bodyBytes: bytes.count - position - 1)
        }
        return nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        answer.fail(error)
        context.close(promise: nil)
    }
}
