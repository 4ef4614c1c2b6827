internal import BowlinePlatform
internal import NIOCore

/// One end of a simulated connection: a channel without a socket. It reads, writes and closes as SwiftNIO's channel of
/// a TCP socket does.
///
/// - It reads one piece of bytes at a time, and only if a read was asked for. When the peer has ended its direction,
///   all bytes that have arrived are read at once, and the channel closes.
/// - It is not writable while more bytes wait than its high water mark.
/// - If it closes with unread bytes, the peer gets a reset.
// Safety: used on the simulation's thread only.
final class SimulationChannel: Channel, @unchecked Sendable {
    private enum State {
        case fresh, connecting, active, closed
    }

    /// How many bytes one read returns, at most.
    private static let readLimit = 65_536

    let loop: SimulationLoop
    /// The number of the connect that made the channel.
    let number: Int
    let localAddress: SocketAddress?
    let remoteAddress: SocketAddress?
    let allocator = ByteBufferAllocator()
    lazy var pipeline = ChannelPipeline(channel: self)
    private(set) var isWritable = true

    private let closePromise: EventLoopPromise<Void>
    /// Begins to connect; nil: the channel is a server's.
    private let dial: ((SimulationChannel) -> Void)?
    private var state = State.fresh
    private var connectPromise: EventLoopPromise<Void>?
    /// The connection, while the channel is active.
    private var connection: SimulationConnection?
    private var side = SimulationConnection.Side.client

    private var outbox = SimulationOutbox()
    private var isSending = false
    private var endsOutput = false
    private var hasEndedOutput = false
    private var waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 32_768, high: 65_536)

    private var inbox = CircularBuffer<ByteBuffer>()
    private var isReadWanted = false
    private var isReadDue = false
    private var autoRead = true

    /// - Parameter dial: Begins to connect; nil: the channel is a server's.
    init(
        on loop: SimulationLoop, number: Int, local: SocketAddress?, remote: SocketAddress?,
        dial: ((SimulationChannel) -> Void)?
    ) {
        self.loop = loop
        self.number = number
        self.dial = dial
        localAddress = local
        remoteAddress = remote
        closePromise = loop.makePromise(of: Void.self)
    }

    var eventLoop: any EventLoop { loop }
    var parent: (any Channel)? { nil }
    var closeFuture: EventLoopFuture<Void> { closePromise.futureResult }
    var isActive: Bool { state == .active }
    var isOpen: Bool { state != .closed }
    var isConnecting: Bool { state == .connecting }
    var _channelCore: any ChannelCore { self }
    var syncOptions: (any NIOSynchronousChannelOptions)? { Options(channel: self) }

    func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> EventLoopFuture<Void> {
        set(option, to: value)
        return loop.makeSucceededVoidFuture()
    }

    func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
        do {
            return loop.makeSucceededFuture(try value(of: option))
        } catch {
            return loop.makeFailedFuture(error)
        }
    }

    // MARK: What the network does

    /// The connect has succeeded.
    func established(_ connection: SimulationConnection, as side: SimulationConnection.Side) {
        state = .active
        self.connection = connection
        self.side = side
        connectPromise.take()?.succeed(())
        pipeline.syncOperations.fireChannelActive()
        sendOn()
        readIfNeeded()
    }

    /// The connect has failed.
    func connectFailed(_ error: any Error) {
        close0(error: error, mode: .all, promise: nil)
    }

    /// Bytes have arrived.
    func arrived(_ bytes: ByteBuffer) {
        inbox.append(bytes)
        readNow()
    }

    /// The peer sends no more bytes.
    func arrivedEnd() {
        while isActive, let bytes = takeInbox() { deliver(bytes) }
        if isActive { close0(error: ChannelError.eof, mode: .all, promise: nil) }
    }

    /// The peer, or the path, has reset the connection.
    func arrivedReset() {
        guard isActive else { return }
        inbox = CircularBuffer()
        let error = IOError(errnoCode: ECONNRESET, reason: "read")
        pipeline.syncOperations.fireErrorCaught(error)
        if isActive { close0(error: error, mode: .all, promise: nil) }
    }

    /// The path takes more bytes.
    func roomGrew() {
        if isActive { sendOn() }
    }

    /// Closes the channel, and resets the connection.
    func closeWithReset() {
        connection?.reset(from: side)
        close0(error: ChannelError.ioOnClosedChannel, mode: .all, promise: nil)
    }

    // MARK: Reading

    private func readIfNeeded() {
        if isActive, autoRead, !isReadWanted { pipeline.syncOperations.read() }
    }

    private func scheduleRead() {
        guard !isReadDue, !inbox.isEmpty else { return }
        isReadDue = true
        loop.perform {
            self.isReadDue = false
            self.readNow()
        }
    }

    /// Reads once if a read was asked for and bytes have arrived.
    private func readNow() {
        guard isActive, isReadWanted, let bytes = takeInbox() else { return }
        isReadWanted = false
        deliver(bytes)
        readIfNeeded()
    }

    private func deliver(_ bytes: ByteBuffer) {
        pipeline.syncOperations.fireChannelRead(NIOAny(bytes))
        pipeline.syncOperations.fireChannelReadComplete()
    }

    /// Takes the bytes that one read returns; nil: none have arrived.
    private func takeInbox() -> ByteBuffer? {
        guard var bytes = inbox.popFirst() else { return nil }
        while let next = inbox.first, bytes.readableBytes + next.readableBytes <= Self.readLimit {
            bytes.writeImmutableBuffer(next)
            inbox.removeFirst()
        }
        connection?.took(bytes.readableBytes, by: side)
        return bytes
    }

    // MARK: Writing

    private func sendOn() {
        guard isActive, !isSending, let connection else { return }
        isSending = true
        while isActive, let (bytes, promise) = outbox.take(connection.room(from: side)) {
            if bytes.readableBytes > 0 { connection.send(bytes, from: side) }
            promise?.succeed(())
        }
        isSending = false
        guard isActive else { return }
        if endsOutput, outbox.isEmpty, !hasEndedOutput {
            hasEndedOutput = true
            connection.finish(from: side)
        }
        if !isWritable, outbox.count < waterMark.low {
            isWritable = true
            pipeline.syncOperations.fireChannelWritabilityChanged()
        }
    }

    // MARK: Options

    private func set<Option: ChannelOption>(_ option: Option, to value: Option.Value) {
        if option is ChannelOptions.Types.WriteBufferWaterMarkOption {
            if let mark = value as? ChannelOptions.Types.WriteBufferWaterMark { waterMark = mark }
        } else if option is ChannelOptions.Types.AutoReadOption {
            autoRead = value as? Bool ?? true
            readIfNeeded()
        }
    }

    private func value<Option: ChannelOption>(of option: Option) throws -> Option.Value {
        var known: Any?
        if option is ChannelOptions.Types.BufferedWritableBytesOption {
            known = outbox.count
        } else if option is ChannelOptions.Types.AutoReadOption {
            known = autoRead
        } else if option is ChannelOptions.Types.WriteBufferWaterMarkOption {
            known = waterMark
        }
        guard let value = known as? Option.Value else { throw ChannelError.operationUnsupported }
        return value
    }

    private struct Options: NIOSynchronousChannelOptions {
        let channel: SimulationChannel

        func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) throws {
            channel.set(option, to: value)
        }

        func getOption<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
            try channel.value(of: option)
        }
    }
}

extension SimulationChannel: ChannelCore {
    func localAddress0() throws -> SocketAddress {
        guard let localAddress else { throw ChannelError.unknownLocalAddress }
        return localAddress
    }

    func remoteAddress0() throws -> SocketAddress {
        guard let remoteAddress else { throw ChannelError.operationUnsupported }
        return remoteAddress
    }

    func register0(promise: EventLoopPromise<Void>?) {
        promise?.succeed(())
        pipeline.syncOperations.fireChannelRegistered()
    }

    func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    func bind0(to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    func connect0(to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        guard state == .fresh, let dial else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        state = .connecting
        connectPromise = promise
        dial(self)
    }

    func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard isOpen, !endsOutput else {
            promise?.fail(isOpen ? ChannelError.outputClosed : ChannelError.ioOnClosedChannel)
            return
        }
        guard let bytes = tryUnwrapData(data, as: ByteBuffer.self) else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        outbox.add(bytes, promise)
        if isWritable, outbox.count > waterMark.high {
            isWritable = false
            pipeline.syncOperations.fireChannelWritabilityChanged()
        }
    }

    func flush0() {
        guard isOpen else { return }
        outbox.flush()
        sendOn()
    }

    func read0() {
        guard isOpen else { return }
        isReadWanted = true
        scheduleRead()
    }

    func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard isOpen else {
            promise?.fail(ChannelError.alreadyClosed)
            return
        }
        guard mode == .all else {
            if mode == .output, !endsOutput {
                endsOutput = true
                outbox.flush()
                sendOn()
            }
            promise?.succeed(())
            return
        }
        let wasActive = isActive
        let hasUnread = !inbox.isEmpty
        state = .closed
        inbox = CircularBuffer()
        let connection = connection.take()
        if hasUnread { connection?.reset(from: side) } else { connection?.finish(from: side) }
        connection?.closed(side)
        for write in outbox.removeAll() { write.fail(ChannelError.ioOnClosedChannel) }
        connectPromise.take()?.fail(error)
        promise?.succeed(())
        if wasActive { pipeline.syncOperations.fireChannelInactive() }
        pipeline.syncOperations.fireChannelUnregistered()
        loop.perform {
            // Later, because handlers may still be at work on the pipeline.
            self.removeHandlers(pipeline: self.pipeline)
            self.closePromise.succeed(())
        }
    }

    func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    func channelRead0(_ data: NIOAny) {}

    func errorCaught0(error: any Error) {}
}
