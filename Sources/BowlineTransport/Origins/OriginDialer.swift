internal import BowlineCore
internal import NIOCore

/// Dials for one origin's pool and makes connections of the channels.
final class OriginDialer: ConnectionDialer {
    typealias Connection = HTTPConnection
    typealias Pool = ConnectionPool<OriginDialer, PoolClock>

    private struct State {
        weak var pool: Pool?
        var link: HTTPConnection.OriginLink?
        var attempts: [ConnectionID: DialAttempt] = [:]
        /// HTTP/2 connections that wait for their peer's settings.
        var settling: [ConnectionID: HTTP2Connection] = [:]
    }

    private let origin: Origin
    private let environment: TransportEnvironment
    private let state = Guarded(State())

    init(origin: Origin, environment: TransportEnvironment) {
        self.origin = origin
        self.environment = environment
    }

    /// Says whose dialer it is. Called once, before the first dial.
    func serve(_ pool: Pool) {
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
        let (loop, affinity) = environment.loops.loop(affinity: affinity)
        let timer = LoopTimer(eventLoop: loop, clock: environment.clock)
        let began = timer.now
        let events = ConnectionEvents(environment.events, id: id, origin: origin)
        let attempt = DialAttempt(
            origin: origin, eventLoop: loop, environment: environment, timer: timer, events: events
        ) { [weak self] result in
            guard let self else {
                if case .success(let dialled) = result { dialled.channel.close(promise: nil) }
                return
            }
            finished(id, affinity: affinity, began: began, duration: began.duration(to: timer.now), events, result)
        }
        state.withLock { $0.attempts[id] = attempt }
        // `cancelDial` may have come before there was anything to cancel.
        guard isWanted(id) else {
            attempt.cancel()
            return
        }
        attempt.start()
    }

    /// Whether the pool has not cancelled the dial. Asked each time after something was registered that `cancelDial` can find:
    /// one of the two sees the other.
    private func isWanted(_ id: ConnectionID) -> Bool {
        state.withLock { $0.pool }?.isDialling(id) ?? true
    }

    func cancelDial(_ id: ConnectionID) {
        let (attempt, settling) = state.withLock { ($0.attempts[id], $0.settling[id]) }
        attempt?.cancel()
        settling?.close(.dialUnneeded)
    }

    deinit {
        let (attempts, settling) = state.withLock { (Array($0.attempts.values), Array($0.settling.values)) }
        for attempt in attempts { attempt.cancel() }
        for connection in settling { connection.close(.poolReleased) }
    }

    private func finished(
        _ id: ConnectionID, affinity: Int, began: MonotonicInstant, duration: Duration, _ events: ConnectionEvents?,
        _ result: Result<DialAttempt.Dialled, any Error>
    ) {
        let link =
            state.withLock { state in
                state.attempts[id] = nil
                return state.link
            } ?? makeLink(to: nil)
        do {
            let dialled = try result.get()
            let traits = Traits(id: id, affinity: affinity, duration: duration, channel: dialled.channel, link: link)
            if dialled.isHTTP2 {
                try beginHTTP2(traits, began: began, events)
            } else {
                let connection = makeHTTP1(traits)
                try install(on: dialled.channel) { try $0.addHandler(connection) }
                established(connection, events)
            }
        } catch {
            failed(id, error, events)
        }
    }

    /// What a connection is made of.
    private struct Traits {
        let id: ConnectionID
        let affinity: Int
        let duration: Duration
        let channel: any Channel
        let link: HTTPConnection.OriginLink
    }

    private func established(_ connection: HTTPConnection, _ events: ConnectionEvents?) {
        connection.announce(events)
        if let pool = state.withLock({ $0.pool }) {
            pool.connectionEstablished(connection)
        } else {
            connection.close(.poolReleased)
        }
    }

    private func failed(_ id: ConnectionID, _ error: any Error, _ events: ConnectionEvents?) {
        let limit = environment.options.connectTimeout
        let failure = ServiceError.dialFailed(error, origin: origin, limit: limit)
        events?.tell { $0.connectionFailed($1, error: failure) }
        state.withLock { $0.pool }?.connectionFailed(id, error: failure, cause: DialFailureCause(error))
    }

    private func install(on channel: any Channel, _ add: (ChannelPipeline.SynchronousOperations) throws -> Void) throws
    {
        let pipeline = channel.pipeline.syncOperations
        try add(pipeline)
        let waiter = try pipeline.context(handlerType: DialWaiter.self)
        pipeline.removeHandler(context: waiter, promise: nil)
        guard channel.isActive else { throw DialFailure.closedEarly }
    }

    private func makeHTTP1(_ traits: Traits) -> HTTP1Connection {
        HTTP1Connection(
            id: traits.id, affinity: traits.affinity, channel: traits.channel,
            peer: Self.peer(of: traits.channel, origin: origin), isTLS: origin.scheme == .https,
            dialDuration: traits.duration, sweep: environment.loops.sweep(affinity: traits.affinity),
            executor: environment.loops.executor(affinity: traits.affinity), origin: traits.link
        )
    }

    /// The dial has not ended before the peer's settings are there: only then is it known to speak HTTP/2, and how many
    /// requests it takes.
    private func beginHTTP2(_ traits: Traits, began: MonotonicInstant, _ events: ConnectionEvents?) throws {
        let connection = HTTP2Connection(
            id: traits.id, affinity: traits.affinity, channel: traits.channel,
            peer: Self.peer(of: traits.channel, origin: origin), isTLS: origin.scheme == .https,
            http2: environment.options.http2, dialDuration: traits.duration,
            sweep: environment.loops.sweep(affinity: traits.affinity),
            executor: environment.loops.executor(affinity: traits.affinity), origin: traits.link
        )
        let deadline = environment.options.connectTimeout.map { began.advanced(by: $0) } ?? .distantFuture
        state.withLock { $0.settling[traits.id] = connection }
        do {
            try install(on: traits.channel) { _ in
                try connection.begin(before: deadline) { [weak self] connection, result in
                    guard let self else { return }
                    state.withLock { $0.settling[traits.id] = nil }
                    switch result {
                    case .success: established(connection, events)
                    case .failure(let error): failed(traits.id, error, events)
                    }
                }
            }
            let isSettling = state.withLock { $0.settling[traits.id] != nil }
            if isSettling, !isWanted(traits.id) { connection.close(.dialUnneeded) }
        } catch {
            // Whoever called tells of it; the connection's own end must not do so again.
            connection.onReady = nil
            state.withLock { $0.settling[traits.id] = nil }
            connection.close(.transportError)
            throw error
        }
    }

    private func makeLink(to pool: Pool?) -> HTTPConnection.OriginLink {
        HTTPConnection.OriginLink(
            options: environment.options.connection,
            release: { [weak pool] connection, keepAlive, now in
                if let pool {
                    pool.release(connection, keepAliveTimeout: keepAlive, now: now)
                } else {
                    connection.poolReleased()
                }
            },
            returnUnused: { [weak pool] connection in
                if let pool { pool.returnUnused(connection) } else { connection.poolReleased() }
            },
            closed: { [weak pool] id, reason in pool?.connectionClosed(id, reason: reason) },
            capacityChanged: { [weak pool] id, capacity in pool?.connectionCapacityChanged(id, to: capacity) },
            retired: { [weak pool] id, reason in pool?.connectionRetired(id, reason: reason) },
            doubted: { [weak pool] id in pool?.connectionDoubted(id) },
            confirmed: { [weak pool] id in pool?.connectionConfirmed(id) }
        )
    }

    private static func peer(of channel: any Channel, origin: Origin) -> String {
        if let path = origin.socketPath { return path }
        guard let address = channel.remoteAddress, let host = address.ipAddress, let port = address.port else {
            return origin.authority
        }
        return host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
