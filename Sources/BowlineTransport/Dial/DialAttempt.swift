internal import BowlineCore
internal import NIOCore
internal import NIOPosix
internal import NIOSSL

/// One dial: name resolution (``SystemResolver``; none for IP addresses), TCP with SwiftNIO's Happy Eyeballs (RFC
/// 8305), and TLS, all within `timeouts.connect`.
///
/// Ends once, with an error or with a channel that is ready for a connection's handler. Closes all other channels that
/// it opened.
// Safety: mutable state is touched on `eventLoop` only.
final class DialAttempt: @unchecked Sendable {
    private let origin: Origin
    private let eventLoop: any EventLoop
    private let environment: TransportEnvironment
    private let timer: LoopTimer
    private let events: ConnectionEvents?
    private let completion: @Sendable (Result<Dialled, any Error>) -> Void

    /// A channel that is ready for a connection's handlers, and its protocol.
    struct Dialled: Sendable {
        let channel: any Channel
        let isHTTP2: Bool
    }

    private var channels: [any Channel] = []
    /// The context that makes TLS handlers; nil: no TLS, or the context is not made yet. Set before the first channel
    /// is made.
    private var tlsContext: NIOSSLContext?
    private var isOver = false
    private var timeout: LoopTimer.Cancellation?
    private var resolver: DialResolver?
    /// The ticket of the load of the trust roots; nil: the dial does not wait for them.
    private var roots: SharedLoadTicket?

    /// Makes a dial and counts it in the census. The count drops when the dial ends, so the caller must start or cancel
    /// it.
    ///
    /// - Parameter completion: Called once, on the loop.
    init(
        origin: Origin, eventLoop: any EventLoop, environment: TransportEnvironment, timer: LoopTimer,
        events: ConnectionEvents?,
        completion: @escaping @Sendable (Result<Dialled, any Error>) -> Void
    ) {
        self.origin = origin
        self.eventLoop = eventLoop
        self.environment = environment
        self.timer = timer
        self.events = events
        self.completion = completion
        // Counted here and not in `start`, because the end of every dial reduces the count, even of a dial that was
        // cancelled before its start.
        environment.census.dialBegan()
    }

    /// Starts the dial.
    func start() {
        if eventLoop.inEventLoop { begin() } else { eventLoop.execute { self.begin() } }
    }

    /// Cancels the dial.
    func cancel() {
        if eventLoop.inEventLoop {
            end(.failure(DialFailure.cancelled))
        } else {
            eventLoop.execute { self.end(.failure(DialFailure.cancelled)) }
        }
    }

    private func begin() {
        guard !isOver else { return }
        if let limit = environment.options.connectTimeout {
            timeout = timer.schedule(at: timer.now.advanced(by: limit)) { [weak self] in
                self?.end(.failure(DialFailure.timedOut))
            }
        }
        guard origin.scheme == .https else {
            establish()
            return
        }
        if let failure = environment.tls.failure(of: origin) {
            end(.failure(failure))
            return
        }
        roots = environment.tls.whenLoaded(on: eventLoop) { result in
            self.roots = nil
            guard !self.isOver else { return }
            switch result {
            case .success(let context):
                self.tlsContext = context
                self.establish()
            case .failure(let error): self.end(.failure(error))
            }
        }
    }

    private func establish() {
        connect().assumeIsolated().whenComplete { result in
            switch result {
            case .success(let channel): self.connected(channel)
            case .failure(let error): self.end(.failure(error))
            }
        }
    }

    private func connect() -> EventLoopFuture<any Channel> {
        let bootstrap = ClientBootstrap(group: eventLoop)
            // The dial's own timer limits the dial, including the TLS handshake. The bootstrap's timeout must never
            // fire before that timer.
            .connectTimeout(.hours(24))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try self.prepare(channel) }
            }
        if let path = origin.socketPath {
            return bootstrap.connect(unixDomainSocketPath: path)
        }
        if origin.isIPAddress {
            do {
                return bootstrap.connect(to: try SocketAddress(ipAddress: origin.host, port: origin.port))
            } catch {
                return eventLoop.makeFailedFuture(NameLookupError(.unknownZone))
            }
        }
        return bootstrap.resolver(makeResolver()).connect(host: origin.host, port: origin.port)
    }

    private func makeResolver() -> any Resolver & Sendable {
        if let make = environment.options.makeResolver { return make(eventLoop) }
        let resolver = DialResolver(environment.options.resolver, eventLoop: eventLoop)
        self.resolver = resolver
        return resolver
    }

    /// Sets the channel's options. The bootstrap could set them, but would use 1.5 KiB for that while it dials.
    private func setOptions(of channel: any Channel) throws {
        guard let channel = channel.syncOptions else { throw ChannelError.operationUnsupported }
        let options = environment.options.connection
        try channel.setOption(
            .writeBufferWaterMark, value: .init(low: options.writeBufferLimit / 2, high: options.writeBufferLimit)
        )
        // One read per event, so that the reader of a body already waits when the next chunk arrives. Without TLS,
        // large buffers are fast. An idle channel keeps one buffer. Its size follows the size of the last responses.
        try channel.setOption(.maxMessagesPerRead, value: 1)
        let isTLS = origin.scheme == .https
        try channel.setOption(
            .recvAllocator,
            value: AdaptiveRecvByteBufferAllocator(
                minimum: 64, initial: isTLS ? 2048 : 1024, maximum: isTLS ? 65_536 : 262_144
            )
        )
        guard origin.socketPath == nil else { return }
        try channel.setOption(.tcpOption(.tcp_nodelay), value: options.isNoDelay ? 1 : 0)
        try channel.setOption(.socketOption(.so_keepalive), value: options.isKeepAlive ? 1 : 0)
    }

    private func prepare(_ channel: any Channel) throws {
        guard !isOver else { throw DialFailure.cancelled }
        channels.append(channel)
        environment.census.opened(channel)
        try setOptions(of: channel)
        let pipeline = channel.pipeline.syncOperations
        if let tlsContext {
            try environment.tls.addHandlers(for: origin, with: tlsContext, to: pipeline)
        }
        try pipeline.addHandler(DialWaiter(isTLS: origin.scheme == .https))
    }

    private func connected(_ channel: any Channel) {
        guard !isOver else {
            channel.close(promise: nil)
            return
        }
        events?.tell { $0.connectionConnected($1) }
        do {
            let waiter = try channel.pipeline.syncOperations.handler(type: DialWaiter.self)
            waiter.whenReady { result in
                switch result {
                case .success(let name): self.negotiated(name, channel)
                case .failure(let error): self.end(.failure(error))
                }
            }
        } catch {
            end(.failure(error))
        }
    }

    /// Ends the dial when the protocol is known: from ALPN (RFC 7301) with TLS, by prior knowledge without TLS.
    private func negotiated(_ name: String?, _ channel: any Channel) {
        let negotiation = environment.options.http2.negotiation
        switch name {
        case "h2" where origin.scheme == .https && negotiation != .http1Only:
            guard forbidRenegotiation(on: channel) else {
                end(.failure(TLSFailure(.renegotiation)))
                return
            }
            ready(channel, isHTTP2: true)
        case nil where origin.scheme == .http: ready(channel, isHTTP2: negotiation == .http2Only)
        case nil, "", "http/1.1":
            guard negotiation != .http2Only else {
                end(.failure(DialFailure.http2NotOffered))
                return
            }
            ready(channel, isHTTP2: false)
        default: end(.failure(DialFailure.unexpectedProtocol))
        }
    }

    /// Forbids TLS renegotiation after ALPN has chosen HTTP/2, where it is not allowed (RFC 9113 §9.2.1).
    ///
    /// - Returns: false if the peer has already asked for a renegotiation.
    private func forbidRenegotiation(on channel: any Channel) -> Bool {
        let pipeline = channel.pipeline.syncOperations
        guard environment.tls.mayRenegotiate, (try? pipeline.nioSSL_tlsVersion()) == .tlsv12 else { return true }
        guard let boundary = try? pipeline.handler(type: TLSRecordBoundary.self) else { return false }
        return boundary.forbidRenegotiation()
    }

    private func ready(_ channel: any Channel, isHTTP2: Bool) {
        if !isOver, origin.scheme == .https { events?.tell { $0.connectionSecured($1) } }
        end(.success(Dialled(channel: channel, isHTTP2: isHTTP2)))
    }

    private func end(_ result: Result<Dialled, any Error>) {
        guard !isOver else { return }
        isOver = true
        timeout?()
        timeout = nil
        resolver?.cancel()
        resolver = nil
        if let roots { environment.tls.forget(roots) }
        roots = nil
        let winner = try? result.get().channel
        for channel in channels where channel !== winner { channel.close(promise: nil) }
        channels = []
        environment.census.dialEnded()
        completion(result)
    }
}
