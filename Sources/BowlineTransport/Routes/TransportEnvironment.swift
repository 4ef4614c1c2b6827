package import BowlineCore
internal import NIOCore
internal import Synchronization

/// The options of a transport.
package struct TransportOptions: Sendable {
    package var pool = PoolOptions()
    package var connection = ConnectionOptions()
    package var tls = TLSOptions()
    package var proxy = ProxyChoice.environment
    package var http2 = HTTP2Options()
    /// The number of the first stream of each HTTP/2 connection; odd. Only tests use another number than 1: with a
    /// number near 2³¹, a connection's numbers run out after a few requests.
    package var http2FirstStreamID = 1
    /// The limit of one dial; see ``Timeouts/connect``.
    package var connectTimeout: Duration? = .seconds(10)
    package var clock: any ServiceClock = MonotonicClock()
    /// Returns a number from 0 up to 1, for jitter.
    package var random: @Sendable () -> Double = { Double.random(in: 0..<1) }
    /// Finds the addresses of host names. Default: the system's resolver.
    package var resolver: any ServiceResolver = SystemResolver.shared
    /// Replaces the machine's network, for simulations. nil: the machine's network.
    package var network: (any TransportNetwork)?

    /// Looks up a variable of the environment.
    package var variable: @Sendable (String) -> String? = { CertificateFiles.variable($0) }
    /// Called before the system's roots are read, on the thread that reads them; for tests.
    package var willLoadRoots: @Sendable () -> Void = {}

    /// Logs a warning. Called on any thread.
    package var warn: @Sendable (String) -> Void = { _ in }

    /// Reports events to listeners; nil: there are none.
    package var events: EventDispatch?

    package init() {}
}

/// The state and the options that all routes of a client share.
final class TransportEnvironment: Sendable {
    let options: TransportOptions
    let loops: ClientLoops
    let tls: TLSContext
    let proxies: ProxySelection
    /// TLS with proxies: HTTP/1.1 only, without the client's certificate, pins and checks, which are for origins. nil:
    /// no proxy uses TLS.
    let proxyTLS: TLSContext?
    let addresses: AddressCache
    /// The addresses between which a balancer chooses.
    let hosts: HostAddresses
    let addressHistory = AddressHistory()
    let census = ChannelCensus()
    var clock: any ServiceClock { options.clock }
    let events: EventDispatch?
    private let connectionsMade = Atomic(0)

    init(options: TransportOptions, group: any EventLoopGroup) throws {
        self.options = options
        events = options.events
        proxies = try ProxySelection(options.proxy, variable: options.variable)
        tls = try TLSContext(
            options.tls, negotiation: options.http2.negotiation, clock: options.clock, variable: options.variable,
            willLoadRoots: options.willLoadRoots, warn: options.warn)
        proxyTLS =
            !proxies.mayUseTLS
            ? nil
            : try TLSContext(
                options.tls.forProxies, variable: options.variable, willLoadRoots: options.willLoadRoots,
                warn: options.warn)
        addresses = AddressCache(
            resolver: options.resolver, clock: options.clock,
            longestLookUp: max(options.connectTimeout ?? .zero, AddressCache.longestLookUp))
        hosts = HostAddresses(
            cache: addresses, clock: options.clock, only: options.connection.localAddress?.family,
            limit: options.connectTimeout)
        loops = ClientLoops(group: group) { loop in
            DeadlineSweep(timer: LoopTimer(eventLoop: loop, clock: options.clock))
        }
    }

    func nextConnectionID() -> ConnectionID {
        ConnectionID(connectionsMade.wrappingAdd(1, ordering: .relaxed).newValue)
    }
}

extension TLSOptions {
    /// The options for TLS with a proxy. The proxy's certificate is always verified: the proxy gets credentials, and pins
    /// and checks of the program are for origins.
    fileprivate var forProxies: TLSOptions {
        var options = TLSOptions()
        options.trustRoots = trustRoots
        options.additionalRoots = additionalRoots
        options.minimumVersion = minimumVersion
        options.keyExchange = keyExchange
        return options
    }
}

/// The numbers of open channels and of dials under way. A shutdown waits until both are zero.
final class ChannelCensus: Sendable {
    private struct State {
        /// Open channels, including those that are being dialled or closed.
        var open = 0
        /// Dials, from their start to their end. A dial may open a channel at any time before its end.
        var dials = 0
        var waiters = WaiterTable<Void>()

        var isEmpty: Bool { open == 0 && dials == 0 }
    }

    private let state = Guarded(State())

    var open: Int { state.withLock { $0.open } }

    func dialBegan() {
        state.withLock { $0.dials += 1 }
    }

    /// Removes a dial from the count. It opens no more channels; those that it has opened are counted separately.
    func dialEnded() {
        leave { $0.dials -= 1 }
    }

    func opened(_ channel: any Channel) {
        state.withLock { $0.open += 1 }
        channel.closeFuture.whenComplete { _ in self.leave { $0.open -= 1 } }
    }

    private func leave(_ change: (inout State) -> Void) {
        let waiters = state.withLock { state in
            change(&state)
            return state.isEmpty ? state.waiters.removeAll() : []
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when no channel is open and no dial is under way, or when the task is cancelled.
    func waitUntilNoneIsLeft() async {
        let number = state.withLock { $0.waiters.makeNumber() }
        _ = try? await withCancellableContinuation { continuation in
            state.withLock { $0.isEmpty ? .success(()) : $0.waiters.store(continuation, as: number) }
        } onCancel: {
            state.withLock { $0.waiters.remove(number) }?.resume(throwing: CancellationError())
        }
    }
}
