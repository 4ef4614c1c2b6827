internal import BowlineCore
internal import NIOCore

/// Dials for the pool of one route, and makes connections from the channels.
final class RouteDialer: ConnectionDialer {
    private struct State {
        weak var pool: ConnectionPool?
        var link: OriginLink?
        var dials: [ConnectionID: Dial] = [:]
        /// HTTP/2 connections that wait for the peer's settings.
        var settling: [ConnectionID: HTTP2Connection] = [:]
        /// The last connection's peer, as an address and as text: the next connection mostly has the same peer, and the
        /// text is expensive to make.
        var peer: (address: SocketAddress, text: String)?
    }

    private let plan: DialPlan
    private let environment: TransportEnvironment
    private let state = Guarded(State())

    private var route: Route { plan.route }
    private var origin: Origin { plan.route.origin }

    init(_ route: Route, environment: TransportEnvironment) {
        plan = DialPlan(route, environment: environment)
        self.environment = environment
    }

    /// Sets the pool that this dialer serves. Called once, before the first dial.
    func serve(_ pool: ConnectionPool) {
        let link = makeLink(to: pool)
        state.withLock { state in
            state.pool = pool
            state.link = link
        }
    }

    func nextConnectionID() -> ConnectionID {
        environment.nextConnectionID()
    }

    func dial(_ id: ConnectionID, affinity: Int?) {
        let affinity = environment.loops.loop(affinity: affinity).affinity
        let sweep = environment.loops.sweep(affinity: affinity)
        let began = sweep.now
        let events = ConnectionEvents(environment.events, id: id, origin: origin)
        let dial = Dial(plan, environment: environment, sweep: sweep, events: events) { [weak self] result in
            guard let self else {
                if case .success(let dialled) = result { dialled.channel.close(promise: nil) }
                return
            }
            finished(id, affinity: affinity, began: began, events, result)
        }
        state.withLock { $0.dials[id] = dial }
        // `cancelDial` may have been called before the dial was registered.
        guard isWanted(id) else {
            dial.cancel()
            return
        }
        dial.start()
    }

    /// Whether the pool still waits for the dial. Check this each time after you have registered an object that
    /// `cancelDial` must find. Then either `cancelDial` finds the object, or this check sees the cancellation.
    private func isWanted(_ id: ConnectionID) -> Bool {
        state.withLock { $0.pool }?.isDialling(id) ?? true
    }

    func cancelDial(_ id: ConnectionID) {
        let (dial, settling) = state.withLock { ($0.dials[id], $0.settling[id]) }
        dial?.cancel()
        settling?.close(.dialUnneeded)
    }

    deinit {
        let (dials, settling) = state.withLock { ($0.dials, $0.settling) }
        for id in dials.keys.sorted() { dials[id]?.cancel() }
        for id in settling.keys.sorted() { settling[id]?.close(.poolReleased) }
    }

    private func finished(
        _ id: ConnectionID, affinity: Int, began: MonotonicInstant, _ events: ConnectionEvents?,
        _ result: Result<Dial.Dialled, DialStepFailure>
    ) {
        let link =
            state.withLock { state in
                state.dials[id] = nil
                return state.link
            } ?? makeLink(to: nil)
        do {
            let dialled = try result.get()
            let traits = traits(id, affinity: affinity, dialled, link)
            if dialled.isHTTP2 {
                try beginHTTP2(traits, began: began, events)
            } else {
                let connection = HTTP1Connection(traits)
                try dialled.channel.pipeline.syncOperations.addHandler(connection)
                connection.announce(events)
                established(connection)
            }
        } catch {
            failed(id, error, events)
        }
    }

    private func established(_ connection: any HTTPConnection) {
        if let pool = state.withLock({ $0.pool }) {
            pool.connectionEstablished(connection)
        } else {
            connection.close(.poolReleased)
        }
    }

    private func failed(_ id: ConnectionID, _ error: any Error, _ events: ConnectionEvents?) {
        let (cause, step) = (error as? DialStepFailure).map { ($0.cause, $0.step) } ?? (error, nil)
        let failure = ServiceError.dialFailed(
            cause, step: step, route: route, limit: environment.options.connectTimeout)
        events?.tell { $0.connectionFailed($1, error: failure) }
        state.withLock { $0.pool }?.connectionFailed(id, error: failure, cause: DialFailureCause(cause))
    }

    private func traits(
        _ id: ConnectionID, affinity: Int, _ dialled: Dial.Dialled, _ link: OriginLink
    ) -> ConnectionTraits {
        ConnectionTraits(
            id: id, affinity: affinity, channel: dialled.channel, peer: peer(of: dialled.channel),
            proxy: route.proxy, isTLS: route.isEncrypted, dialTimings: dialled.timings,
            sweep: environment.loops.sweep(affinity: affinity),
            executor: environment.loops.executor(affinity: affinity), originLink: link
        )
    }

    /// Begins HTTP/2 on a channel. The dial ends when the peer's settings arrive: before that, it is not known whether
    /// the peer speaks HTTP/2, nor how many requests it accepts.
    private func beginHTTP2(_ traits: ConnectionTraits, began: MonotonicInstant, _ events: ConnectionEvents?) throws {
        let options = environment.options
        let connection = HTTP2Connection(traits, http2: options.http2, firstStreamID: options.http2FirstStreamID)
        let deadline = options.connectTimeout.map { began.advanced(by: $0) } ?? .distantFuture
        state.withLock { $0.settling[traits.id] = connection }
        do {
            try connection.begin(before: deadline) { [weak self] connection, result in
                guard let self else { return }
                state.withLock { $0.settling[traits.id] = nil }
                switch result {
                case .success:
                    connection.announce(events)
                    established(connection)
                case .failure(let error): failed(traits.id, error, events)
                }
            }
            guard traits.channel.isActive else { throw DialFailure.closedEarly }
            let isSettling = state.withLock { $0.settling[traits.id] != nil }
            if isSettling, !isWanted(traits.id) { connection.close(.dialUnneeded) }
        } catch {
            // The caller reports this error. The end of the connection must not report it again.
            connection.forgetReadiness()
            state.withLock { $0.settling[traits.id] = nil }
            connection.close(.transportError)
            throw error
        }
    }

    private func makeLink(to pool: ConnectionPool?) -> OriginLink {
        OriginLink(options: environment.options.connection, owner: pool)
    }

    private func peer(of channel: any Channel) -> String {
        if let path = origin.socketPath { return path }
        guard let address = channel.remoteAddress else { return origin.authority }
        if let last = state.withLock({ $0.peer }), last.address == address { return last.text }
        guard let host = address.ipAddress, let port = address.port else { return origin.authority }
        let text = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
        state.withLock { $0.peer = (address, text) }
        return text
    }
}
