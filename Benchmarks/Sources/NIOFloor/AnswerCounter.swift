import NIOCore

/// Writes requests one after another and counts the bytes of the answers. Expects all answers to be as long as the
/// first.
final class AnswerCounter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let request: ByteBuffer
    private let finished: EventLoopPromise<Void>
    private var remaining: Int
    private var answerLength: Int?
    private var received = 0

    init(request: ByteBuffer, count: Int, finished: EventLoopPromise<Void>) {
        self.request = request
        self.finished = finished
        remaining = count
    }

    func channelActive(context: ChannelHandlerContext) {
        writeNext(context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        received += bytes.readableBytes
        if answerLength == nil { answerLength = Self.length(of: bytes) }
        guard let answerLength else {
            return fail(context, Misuse(text: "an answer with a Content-Length, in one read"))
        }
        guard received >= answerLength else { return }
        received = 0
        remaining -= 1
        writeNext(context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        finished.fail(ChannelError.eof)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(context, error)
    }

    private func writeNext(_ context: ChannelHandlerContext) {
        guard remaining > 0 else { return finished.succeed() }
        context.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    private func fail(_ context: ChannelHandlerContext, _ error: any Error) {
        finished.fail(error)
        context.close(promise: nil)
    }

    /// Returns the length of the first answer in `bytes`, head and body; nil: no whole head, or no `Content-Length`.
    private static func length(of bytes: ByteBuffer) -> Int? {
        var head = 0
        var body: Int?
        for line in String(buffer: bytes).split(separator: "\r\n", omittingEmptySubsequences: false) {
            head += line.utf8.count + 2
            if line.isEmpty { return body.map { head + $0 } }
            if line.lowercased().hasPrefix("content-length: ") { body = Int(line.dropFirst("content-length: ".count)) }
        }
        return nil
    }
}
