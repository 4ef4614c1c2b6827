internal import BowlineCore
internal import NIOCore
internal import NIOSSL

/// One dial: a sequence of steps that opens a connection over a ``Route``.
///
/// | step | code | only for |
/// |---|---|---|
/// | trust | ``TLSContext``: the trusted certificates, once per client | TLS |
/// | resolve | ``ResolveStep``: the addresses of the host, or of the proxy | names, unless the route has an address |
/// | connect | ``ConnectStep``: a socket to one of the addresses (RFC 8305) | all |
/// | secure the proxy | ``SecureStep`` | TLS to the proxy |
/// | tunnel | ``OpenTunnel``: CONNECT or SOCKS5 | proxies, except for `http` through an HTTP proxy |
/// | secure | ``SecureStep`` | `https` |
/// | negotiate | ``negotiated(_:_:)``: HTTP/1.1 or HTTP/2 (ALPN) | `https` |
///
/// The dial has one time limit for all steps (`timeouts.connect`), one cancellation and one place in the census. It ends
/// once, with an error or with a channel that is ready for a connection's handler. It closes all other channels that it
/// opened.
// Safety: mutable state is touched on `eventLoop` only.
final class Dial: DeadlineEntry, @unchecked Sendable {
    private let plan: DialPlan
    private let environment: TransportEnvironment
    private let sweep: DeadlineSweep
    private let events: ConnectionEvents?
    private let completion: @Sendable (Result<Dialled, DialStepFailure>) -> Void

    private var route: Route { plan.route }
    private var origin: Origin { plan.route.origin }
    private var timer: LoopTimer { sweep.timer }
    private var eventLoop: any EventLoop { sweep.timer.eventLoop }

    /// A channel that is ready for a connection's handlers, and its protocol.
    struct Dialled: Sendable {
        let channel: any Channel
        let isHTTP2: Bool
        let timings: DialTimings
    }

    /// The step that runs, for the error of a dial that takes too long.
    private var step = DialStep.trust
    private var isOver = false
    // `DeadlineEntry`.
    private(set) var deadline = MonotonicInstant.distantFuture
    var sweepIndex = -1
    private var resolveDuration: Duration?
    private var connectDuration: Duration?
    private var tunnelDuration: Duration?
    private var tlsDuration: Duration?
    private let began: MonotonicInstant
    /// When the step that runs began.
    private var stepBegan: MonotonicInstant
    private var connect: ConnectStep?
    /// The look-up of the origin's name, for a proxy that gets an address.
    private var targetLookUp: ResolveStep?
    private var targetDelay: LoopTimer.Cancellation?
    /// The connected channel.
    private var channel: (any Channel)?
    /// The ticket of the load of the trust roots; nil: the dial does not wait for them.
    private var roots: (TLSContext, SharedLoadTicket)?

    /// Makes a dial and counts it in the census. The count drops when the dial ends, so the caller must start or cancel
    /// it.
    ///
    /// - Parameter completion: Called once, on the loop.
    init(
        _ plan: DialPlan, environment: TransportEnvironment, sweep: DeadlineSweep, events: ConnectionEvents?,
        completion: @escaping @Sendable (Result<Dialled, DialStepFailure>) -> Void
    ) {
        self.plan = plan
        self.environment = environment
        self.sweep = sweep
        self.events = events
        self.completion = completion
        began = sweep.now
        stepBegan = began
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
            fail(DialFailure.cancelled)
        } else {
            eventLoop.execute { self.fail(DialFailure.cancelled) }
        }
    }

    private func begin() {
        guard !isOver else { return }
        if let limit = environment.options.connectTimeout {
            deadline = timer.now.advanced(by: limit)
            sweep.add(self)
        }
        trustProxy()
    }

    func deadlinePassed(now: MonotonicInstant) {
        if step == .resolve, connect?.isResolving == false { step = .connect }
        if let connect {
            connect.timedOut()
            addressFailed(.peer)
        }
        fail(DialFailure.timedOut)
    }

    // MARK: trust

    private func trustProxy() {
        guard route.proxy?.kind == .https else {
            trustOrigin(proxy: nil)
            return
        }
        // There is TLS for proxies if the client's configuration may choose such a proxy.
        guard let tls = environment.proxyTLS, let identity = plan.proxyIdentity else {
            fail(ServiceError(.invalidConfiguration, "proxy: the client was made without a proxy over TLS"))
            return
        }
        load(tls) { self.trustOrigin(proxy: Trust(tls: tls, context: $0, identity: identity)) }
    }

    private func trustOrigin(proxy: Trust?) {
        guard let identity = plan.identity else {
            openSocket(Trusts(proxy: proxy, origin: nil))
            return
        }
        let tls = environment.tls
        if let failure = tls.failure(of: identity) {
            fail(failure)
            return
        }
        load(tls) { self.openSocket(Trusts(proxy: proxy, origin: Trust(tls: tls, context: $0, identity: identity))) }
    }

    /// The context that makes the handlers of a handshake, and the identity that the peer has to prove in it.
    private struct Trust {
        let tls: TLSContext
        let context: NIOSSLContext
        let identity: ReferenceIdentity
    }

    /// nil: no TLS there.
    private struct Trusts {
        let proxy: Trust?
        let origin: Trust?
    }

    /// Loads the trusted certificates, before the socket is opened: a peer does not wait for this.
    private func load(_ tls: TLSContext, then next: @escaping @Sendable (NIOSSLContext) -> Void) {
        let ticket = tls.whenLoaded(on: eventLoop) { result in
            self.roots = nil
            guard !self.isOver else { return }
            switch result {
            case .success(let context): next(context)
            case .failure(let error): self.fail(error)
            }
        }
        // nil: the callback has run, and may have set the ticket of the next load.
        if let ticket { roots = (tls, ticket) }
    }

    // MARK: resolve, connect

    private func openSocket(_ trusts: Trusts) {
        step = .resolve
        let connect = ConnectStep(plan.target, environment: environment, timer: timer) {
            try self.prepare($0)
        } resolved: {
            self.events?.tell { $0.connectionResolved($1) }
        } completion: {
            self.connected($0, trusts)
        }
        self.connect = connect
        connect.start()
    }

    /// SwiftNIO's own high water mark of a channel. Its low water mark is half of it.
    private static let defaultWriteBufferLimit = 65_536

    /// Sets the channel's options. The bootstrap could set them, but would use 1.5 KiB for that while it dials.
    private func prepare(_ connecting: any Channel) throws {
        environment.census.opened(connecting)
        guard let channel = connecting.syncOptions else { throw ChannelError.operationUnsupported }
        let options = environment.options.connection
        // Each option costs about 3,000 instructions, so SwiftNIO's own default is not set again.
        if options.writeBufferLimit != Self.defaultWriteBufferLimit {
            try channel.setOption(
                .writeBufferWaterMark, value: .init(low: options.writeBufferLimit / 2, high: options.writeBufferLimit)
            )
        }
        // One read per event, so that the reader of a body already waits when the next chunk arrives. Without TLS,
        // large buffers are fast. An idle channel keeps one buffer. Its size follows the size of the last responses.
        try channel.setOption(.maxMessagesPerRead, value: 1)
        // SwiftNIO's default: from 64 bytes to 64 KiB, at first 2 KiB. It suits TLS.
        if !route.isEncrypted {
            try channel.setOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 64, initial: 1024, maximum: 262_144))
        }
        // A channel of a simulated network has no socket.
        guard origin.socketPath == nil, environment.options.network == nil else { return }
        guard let socket = SocketDescriptor(connecting) else { throw ChannelError.operationUnsupported }
        // Both options are off in a new socket.
        if options.isNoDelay { try socket.set(.tcp_nodelay, of: .tcp, to: 1) }
        if options.isKeepAlive { try socket.set(.so_keepalive, of: .socket, to: 1) }
    }

    private func connected(_ result: Result<any Channel, any Error>, _ trusts: Trusts) {
        guard !isOver, let connect else { return }
        let now = timer.now
        resolveDuration = connect.resolveDuration
        self.connect = nil
        switch result {
        case .failure(let error):
            addressFailed(DialFailureCause(error))
            fail(error)
        case .success(let channel):
            connectDuration = connect.connectDuration(at: now)
            self.channel = channel
            events?.tell { $0.connectionConnected($1) }
            begin(.tunnel)
            secureProxy(channel, trusts)
        }
    }

    /// Has the client look up the host's addresses again soon, if the dial was for one of them.
    private func addressFailed(_ cause: DialFailureCause) {
        guard route.address != nil, cause == .peer else { return }
        environment.hosts.dialFailed(origin, now: timer.now)
    }

    // MARK: tunnel

    private func secureProxy(_ channel: any Channel, _ trusts: Trusts) {
        guard let trust = trusts.proxy else {
            openTunnel(channel, trusts)
            return
        }
        secure(channel, trust) { _ in self.openTunnel(channel, trusts) }
    }

    private func openTunnel(_ channel: any Channel, _ trusts: Trusts) {
        guard let proxy = route.proxy else {
            secureOrigin(channel, trusts)
            return
        }
        guard route.needsTunnel else {
            tunnelDuration = proxy.kind == .https ? duration() : nil
            secureOrigin(channel, trusts)
            return
        }
        guard proxy.kind == .socks5, !proxy.resolvesNames, !origin.isIPAddress else {
            openTunnel(channel, trusts, proxy, to: IPAddress(origin.host))
            return
        }
        lookUpTarget { address in self.openTunnel(channel, trusts, proxy, to: address) }
    }

    /// Finds one address of the origin, for a SOCKS proxy that does not resolve names. An IPv4 address is preferred,
    /// because more proxies have a route to it: an IPv6 address that is found first waits a little for it.
    private func lookUpTarget(then next: @escaping (IPAddress) -> Void) {
        let begunStep = step
        step = .resolveTarget
        func use(_ address: IPAddress) {
            guard targetLookUp != nil else { return }
            endTargetLookUp()
            step = begunStep
            next(address)
        }
        var found: [IPAddress.Family: ResolveStep.Answer] = [:]
        let lookUp = ResolveStep(origin.host, cache: environment.addresses, eventLoop: eventLoop) { family, answer in
            found[family] = answer
            let addresses = found.mapValues { (try? $0.get()) ?? [] }
            if let address = addresses[.v4]?.first {
                use(address)
            } else if let address = addresses[.v6]?.first {
                if found[.v4] != nil { use(address) } else { self.targetDelay = self.delay { use(address) } }
            } else if let v4 = found[.v4], let v6 = found[.v6] {
                self.endTargetLookUp()
                self.fail(Self.failure(v4) ?? Self.failure(v6) ?? NameLookupError(.noAddress))
            }
        }
        targetLookUp = lookUp
        lookUp.start()
    }

    private static func failure(_ answer: ResolveStep.Answer) -> (any Error)? {
        if case .failure(let error) = answer { error } else { nil }
    }

    /// Runs `action` after the resolution delay of RFC 8305.
    private func delay(_ action: @escaping () -> Void) -> LoopTimer.Cancellation {
        let run = NIOLoopBound(action, eventLoop: eventLoop)
        let instant = timer.now.advanced(by: ConnectStateMachine.resolutionDelay)
        return timer.schedule(at: instant) { run.value() }
    }

    private func endTargetLookUp() {
        targetLookUp?.cancel()
        targetLookUp = nil
        targetDelay?()
        targetDelay = nil
    }

    private func openTunnel(_ channel: any Channel, _ trusts: Trusts, _ proxy: Proxy, to address: IPAddress?) {
        let target = TunnelTarget(host: origin.host, port: origin.port, address: address)
        OpenTunnel.begin(
            on: channel, to: target, through: proxy, options: environment.options.connection
        ) { result in
            guard !self.isOver else { return }
            switch result {
            case .success:
                self.tunnelDuration = self.duration()
                self.events?.tell { $0.connectionTunnelled($1) }
                self.secureOrigin(channel, trusts)
            case .failure(let error): self.fail(error)
            }
        }
    }

    // MARK: secure

    private func secureOrigin(_ channel: any Channel, _ trusts: Trusts) {
        guard let trust = trusts.origin else {
            ready(channel, isHTTP2: environment.options.http2.negotiation == .http2Only && !route.isForwarded)
            return
        }
        begin(.secure)
        secure(channel, trust) { secured in
            self.tlsDuration = self.duration()
            self.negotiated(secured, channel)
        }
    }

    private func secure(
        _ channel: any Channel, _ trust: Trust, then next: @escaping (SecureStep.Secured) -> Void
    ) {
        SecureStep.begin(on: channel, as: trust.identity, trust.tls, trust.context) { result in
            guard !self.isOver else { return }
            switch result {
            case .success(let secured): next(secured)
            case .failure(let error): self.fail(error)
            }
        }
    }

    // MARK: negotiate

    /// Ends the dial when ALPN has chosen the protocol (RFC 7301). Without TLS, the protocol is known before.
    private func negotiated(_ secured: SecureStep.Secured, _ channel: any Channel) {
        let negotiation = environment.options.http2.negotiation
        switch secured.protocolName {
        case "h2" where negotiation != .http1Only:
            // RFC 9113 §9.2.1. The peer may have asked already.
            if environment.tls.mayRenegotiate, !secured.boundary.forbidRenegotiation() {
                fail(TLSFailure(.renegotiation))
            } else {
                ready(channel, isHTTP2: true)
            }
        case nil, "", "http/1.1":
            guard negotiation != .http2Only else {
                fail(DialFailure.http2NotOffered)
                return
            }
            ready(channel, isHTTP2: false)
        default: fail(DialFailure.unexpectedProtocol)
        }
    }

    private func ready(_ channel: any Channel, isHTTP2: Bool) {
        guard channel.isActive else {
            fail(DialFailure.closedEarly)
            return
        }
        if origin.scheme == .https { events?.tell { $0.connectionSecured($1) } }
        let timings = DialTimings(
            total: began.duration(to: timer.now), resolve: resolveDuration, connect: connectDuration,
            tunnel: tunnelDuration, tls: tlsDuration)
        end(.success(Dialled(channel: channel, isHTTP2: isHTTP2, timings: timings)))
    }

    // MARK: the sequence

    private func begin(_ step: DialStep) {
        self.step = step
        stepBegan = timer.now
    }

    /// How long the step has taken.
    private func duration() -> Duration { stepBegan.duration(to: timer.now) }

    private func fail(_ error: any Error) {
        end(.failure(DialStepFailure(cause: error, step: step)))
    }

    private func end(_ result: Result<Dialled, DialStepFailure>) {
        guard !isOver else { return }
        isOver = true
        sweep.remove(self)
        connect?.cancel()
        connect = nil
        endTargetLookUp()
        if let (tls, ticket) = roots { tls.forget(ticket) }
        roots = nil
        if case .failure = result { channel?.close(promise: nil) }
        channel = nil
        environment.census.dialEnded()
        completion(result)
    }
}
