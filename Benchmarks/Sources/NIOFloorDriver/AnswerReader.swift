import NIOCore

/// The status and the length of a body.
struct Answer: Sendable {
    let status: Int
    let bodyBytes: Int
}

/// Writes a request when the connection is there, and reads until the server closes.
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

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if received.readableBytes == 0 { received = bytes } else { received.writeBuffer(&bytes) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        // The status is the second word of the first line: `HTTP/1.1 200 OK`.
        let view = received.readableBytesView
        guard let status = received.getString(at: received.readerIndex + 9, length: 3).flatMap({ Int($0) }),
            let end = view.firstRange(of: Array("\r\n\r\n".utf8))
        else { return answer.fail(ChannelError.eof) }
        answer.succeed(Answer(status: status, bodyBytes: view.distance(from: end.upperBound, to: view.endIndex)))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        answer.fail(error)
        context.close(promise: nil)
    }
}
