internal import NIOCore

/// Runs a ``TunnelMachine`` on a channel to a proxy, until the tunnel is open or has failed.
///
/// The handler begins when it is in an active channel. It does not close the channel and does not remove itself: the
/// dial does so in the completion. After an open tunnel it passes all events on. After a failure it drops the proxy's
/// bytes and errors.
final class TunnelHandler<Machine: TunnelMachine & ~Copyable>: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case running, open, failed
    }

    private var machine: Machine
    private var state = State.running
    private var completion: ((Result<Void, any Error>) -> Void)?

    /// - Parameter completion: Called once, on the event loop, perhaps before the call that adds the handler to the
    ///   channel returns. A failure is a ``ProxyFailure``. Not called if the handler is removed before the end.
    init(_ machine: consuming Machine, completion: @escaping (Result<Void, any Error>) -> Void) {
        self.machine = machine
        self.completion = completion
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { perform(machine.begin(), context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        completion = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        perform(machine.begin(), context)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .running: perform(machine.received(unwrapInboundIn(data)), context)
        case .open: context.fireChannelRead(data)
        case .failed: break
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        perform(machine.connectionClosed(), context)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch state {
        case .running: end(ProxyFailure(connectionError: error))
        case .open: context.fireErrorCaught(error)
        case .failed: break
        }
    }

    private func perform(_ step: TunnelStep, _ context: ChannelHandlerContext) {
        guard case .running = state else { return }
        switch step {
        case .wait: break
        case .write(let bytes):
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
        case .opened: end(nil)
        case .failed(let failure): end(failure)
        }
    }

    /// - Parameter failure: nil: the tunnel is open.
    private func end(_ failure: ProxyFailure?) {
        state = failure == nil ? .open : .failed
        let completion = self.completion
        self.completion = nil
        completion?(failure.map { .failure($0) } ?? .success(()))
    }
}
