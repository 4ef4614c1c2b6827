internal import BowlineCore
internal import BowlinePool
internal import NIOCore

/// Dials for one origin's pool and makes connections of the channels.
final class OriginDialer: ConnectionDialer {
    typealias Connection = HTTP1Connection
    typealias Pool = ConnectionPool<OriginDialer, PoolClock>

    private struct State {
        weak var pool: Pool?
        var attempts: [ConnectionID: DialAttempt] = [:]
    }

    private let origin: Origin
    private let environment: TransportEnvironment
    private let state = Locked(State())

    init(origin: Origin, environment: TransportEnvironment) {
        self.origin = origin
        self.environment = environment
    }

    /// Says whose dialer it is. Called once, before the first dial.
    func serve(_ pool: Pool) {
        state.withLock { $0.pool = pool }
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
                if case .success(let channel) = result { channel.close(promise: nil) }
                return
            }
            finished(id, affinity: affinity, duration: began.duration(to: timer.now), events, result)
        }
        state.withLock { $0.attempts[id] = attempt }
        attempt.start()
    }

    func cancelDial(_ id: ConnectionID) {
        state.withLock { $0.attempts[id] }?.cancel()
    }

    deinit {
        for attempt in state.withLock({ Array($0.attempts.values) }) { attempt.cancel() }
    }

    private func finished(
        _ id: ConnectionID, affinity: Int, duration: Duration, _ events: ConnectionEvents?,
        _ result: Result<any Channel, any Error>
    ) {
        let pool = state.withLock { state in
            state.attempts[id] = nil
            return state.pool
        }
        let connection: HTTP1Connection
        do {
            connection = try makeConnection(id, affinity: affinity, duration: duration, channel: result.get())
        } catch {
            let limit = environment.options.connectTimeout
            let failure = ServiceError.dialFailed(error, origin: origin, limit: limit)
            events?.tell { $0.connectionFailed($1, error: failure) }
            pool?.connectionFailed(id, error: failure)
            return
        }
        connection.announce(events)
        if let pool { pool.connectionEstablished(connection) } else { connection.close(.poolReleased) }
    }

    private func makeConnection(
        _ id: ConnectionID, affinity: Int, duration: Duration, channel: any Channel
    ) throws -> HTTP1Connection {
        let pool = state.withLock { $0.pool }
        let connection = HTTP1Connection(
            id: id, affinity: affinity, channel: channel, peer: Self.peer(of: channel, origin: origin),
            isTLS: origin.scheme == .https, options: environment.options.connection, dialDuration: duration,
            sweep: environment.loops.sweep(affinity: affinity), origin: Self.link(to: pool)
        )
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(connection)
        let waiter = try pipeline.context(handlerType: DialWaiter.self)
        pipeline.removeHandler(context: waiter, promise: nil)
        guard channel.isActive else { throw DialFailure.closedDuringHandshake }
        return connection
    }

    private static func link(to pool: Pool?) -> HTTP1Connection.OriginLink {
        HTTP1Connection.OriginLink(
            release: { [weak pool] connection, keepAlive, now in
                if let pool {
                    pool.release(connection, keepAliveTimeout: keepAlive, now: now)
                } else {
                    connection.close(.poolReleased)
                }
            },
            returnUnused: { [weak pool] connection in
                if let pool { pool.returnUnused(connection) } else { connection.close(.poolReleased) }
            },
            closed: { [weak pool] id, reason in pool?.connectionClosed(id, reason: reason) }
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
