internal import NIOCore

/// Reports the events of one of a connection's two sockets to its ``FaultDriver``.
final class FaultSocket: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let driver: FaultDriver
    private let side: FaultConnectionMachine.Side

    init(_ driver: FaultDriver, _ side: FaultConnectionMachine.Side) {
        self.driver = driver
        self.side = side
    }

    func channelActive(context: ChannelHandlerContext) {
        if side == .client { driver.activated() }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        driver.received(unwrapInboundIn(data), from: side)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed: driver.inputEnded(side)
        default: break
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        driver.failed(side)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        driver.closed(side)
        context.fireChannelInactive()
    }
}
