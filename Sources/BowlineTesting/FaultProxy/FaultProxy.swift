internal import NIOCore
internal import NIOPosix

/// A proxy for TCP in front of a server on this machine or another, which does to connections what networks do.
///
/// It delays, slices, holds back, cuts, drops, repeats and changes bytes, by connection and by direction, as a ``FaultPlan``
/// says, or now (``silence(_:connections:)``, ``cut(_:connections:)``). It does not look at the bytes, so TLS and HTTP/2
/// pass through it. To script what the server itself does, use ``LoopbackServer``; the two go together.
///
/// ```swift
/// try await FaultProxy.withProxy(port: server.port) { proxy in
///     proxy.use(.scripts([FaultScript { $0.toClient.events = [FaultEvent(at: 20, .cut(.reset))] }]))
///     …
///     #expect(proxy.log.contains { $0.kind == .cut(.reset) })
/// }
/// ```
///
/// It listens on 127.0.0.1. Back-pressure is passed on: a peer that does not read stops the other, and a direction holds at
/// most 64 KiB and one read (1 MiB where it has latency), beside what the kernel holds. So is a half-close. When a peer
/// resets its connection, the other is reset once all that was read has passed; when the server cannot be dialed, the client
/// is reset. While a direction is silent, the proxy's kernel still acknowledges what the peer sends, until its buffers are
/// full; a connection in silence one of whose peers has ended is reset after 30 s.
///
/// It works on SwiftNIO's shared event loops, as clients do, and leaves them to others after 64 writes of a connection.
public final class FaultProxy: Sendable {
    /// The port, on 127.0.0.1.
    public let port: Int

    let shared: Watched<FaultProxyState>
    private let listener: any Channel

    private init(_ listener: any Channel, _ shared: Watched<FaultProxyState>) {
        self.listener = listener
        self.shared = shared
        port = listener.localAddress?.port ?? 0
    }

    /// Starts a proxy; stop it with ``stop()``, or use ``withProxy(to:port:plan:isolation:_:)``, which does that.
    ///
    /// - Parameters:
    ///   - host: The server's name or address. Default `127.0.0.1`.
    ///   - port: The server's port, from 1 to 65,535. It is dialed for each connection, so it need not listen yet.
    ///   - plan: What happens to which connection. Default nothing.
    /// - Throws: ``FaultProxyError`` for a host or port that cannot be dialed; what binding throws.
    public static func start(
        to host: String = "127.0.0.1", port: Int, plan: FaultPlan = .none
    ) async throws -> FaultProxy {
        let target = try FaultTarget(host: host, port: port)
        let shared = Watched(FaultProxyState(plan: plan))
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            // The connection reads when it has room.
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try Self.accept(channel, target, shared) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return FaultProxy(listener, shared)
    }

    /// Runs `body` with a proxy that is stopped afterwards, whatever happens.
    ///
    /// - Throws: what ``start(to:port:plan:)``, `body` or ``stop()`` throws.
    @discardableResult
    public static func withProxy<Result>(
        to host: String = "127.0.0.1",
        port: Int,
        plan: FaultPlan = .none,
        isolation: isolated (any Actor)? = #isolation,
        _ body: (FaultProxy) async throws -> Result
    ) async throws -> Result {
        let proxy = try await start(to: host, port: port, plan: plan)
        let result: Result
        do {
            result = try await body(proxy)
        } catch {
            try? await proxy.stop()
            throw error
        }
        try await proxy.stop()
        return result
    }

    /// The URL of a server behind the proxy: `http://127.0.0.1:49152`.
    ///
    /// A certificate of ``TestCertificates`` is valid for this address too.
    public func baseURL(scheme: String = "http") -> String {
        "\(scheme)://127.0.0.1:\(port)"
    }

    /// Makes another plan that of the connections accepted from now on, counted from 0 again.
    public func use(_ plan: FaultPlan) {
        shared.withLock { state in
            state.plan = plan
            state.planStart = state.accepted
        }
    }

    /// Lets nothing pass any more, not even a peer's end, until ``resume()``; sockets stay open.
    ///
    /// Bytes that a peer sends after this has returned do not pass. A connection accepted while the direction to the server
    /// is silent is not dialed on before ``resume()``.
    ///
    /// - Parameters:
    ///   - directions: Which ways. Default both.
    ///   - connections: The numbers of the connections; nil: all that are open, and all that are accepted until
    ///     ``resume()``. Default nil.
    public func silence(
        _ directions: Set<FaultDirection> = [.toServer, .toClient], connections: Set<Int>? = nil
    ) {
        let concerned = shared.withLock { state in
            if connections == nil { state.silenced.formUnion(directions) }
            return state.connections(connections)
        }
        for connection in concerned { connection.tell(.silence(directions)) }
    }

    /// Ends every silence: of ``silence(_:connections:)``, of events and of openings. What was held back goes on.
    public func resume() {
        let concerned = shared.withLock { state in
            state.silenced = []
            return state.connections(nil)
        }
        for connection in concerned { connection.tell(.resume) }
    }

    /// Ends connections now, on both sides, wherever they are.
    ///
    /// - Parameters:
    ///   - how: With FIN or with RST.
    ///   - connections: The numbers of the connections; nil: all that are open. Default nil.
    public func cut(_ how: FaultCut, connections: Set<Int>? = nil) {
        for connection in shared.withLock({ $0.connections(connections) }) { connection.tell(.cut(how)) }
    }

    /// The numbers, from 0, of the connections that are open: those with a socket that is not closed.
    public var connections: [Int] { shared.withLock { $0.openConnections.keys.sorted() } }

    /// How many connections have been accepted, those that have ended included.
    public var accepted: Int { shared.withLock { $0.accepted } }

    /// What was done, in order: faults, and how connections began and ended. The last 10,000 records.
    public var log: [FaultRecord] { shared.withLock { Array($0.records.suffix(FaultProxyState.logLimit)) } }

    /// Waits until at least `count` connections have been accepted, those that have ended included.
    ///
    /// - Throws: ``WaitTimeout`` after `timeout`; `CancellationError` when the task is cancelled.
    public func waitForConnections(
        count: Int, timeout: Duration = .seconds(10), file: String = #fileID, line: Int = #line
    ) async throws {
        try await shared.wait(
            for: "\(count) connections of the proxy", within: timeout, at: CallSite(file: file, line: line),
            found: { "\($0.accepted)" }, until: { $0.accepted >= count }
        )
    }

    /// Waits until exactly `count` connections are open.
    ///
    /// - Throws: ``WaitTimeout`` after `timeout`; `CancellationError` when the task is cancelled.
    public func waitForOpenConnections(
        count: Int, timeout: Duration = .seconds(10), file: String = #fileID, line: Int = #line
    ) async throws {
        try await shared.wait(
            for: "\(count) open connections of the proxy", within: timeout, at: CallSite(file: file, line: line),
            found: { "\($0.openConnections.count)" }, until: { $0.openConnections.count == count }
        )
    }

    /// Waits until the log has a record that `matches`.
    ///
    /// - Throws: ``WaitTimeout`` after `timeout`, with the log's last record; `CancellationError` when the task is cancelled.
    public func waitForRecord(
        timeout: Duration = .seconds(10),
        file: String = #fileID,
        line: Int = #line,
        where matches: @escaping @Sendable (FaultRecord) -> Bool
    ) async throws {
        try await shared.wait(
            for: "a record of the proxy", within: timeout, at: CallSite(file: file, line: line),
            found: { $0.records.last.map { "\($0) last" } ?? "none" }, until: { $0.records.contains(where: matches) }
        )
    }

    /// Stops listening, closes all connections and waits for all that. It may be called again.
    ///
    /// - Throws: what closing the listening socket throws; connections are closed all the same.
    public func stop() async throws {
        shared.withLock { $0.isStopped = true }
        var failure: (any Error)?
        do {
            try await listener.close().get()
        } catch ChannelError.alreadyClosed {
        } catch {
            failure = error
        }
        let open = shared.withLock { $0.connections(nil) }
        for connection in open { connection.tell(.stop) }
        for connection in open { try await connection.closed.get() }
        if let failure { throw failure }
    }

    /// Gives an accepted socket its number and its script, and begins to pass what comes. Called on the socket's event loop.
    private static func accept(
        _ channel: any Channel, _ target: FaultTarget, _ shared: Watched<FaultProxyState>
    ) throws {
        guard let admission = shared.withLock({ $0.admit() }) else { throw ChannelError.ioOnClosedChannel }
        // The plan may be a closure of the user's, so it is asked without the lock.
        let (plan, number) = (admission.plan, admission.numberInPlan)
        let mailbox = FaultConnection.Mailbox()
        let turns = shared.withLock { $0.turns(on: channel.eventLoop) }
        let driver = FaultDriver(
            number: admission.number,
            script: plan.script(for: number),
            jitter: [
                .toServer: plan.jitter(for: number, .toServer), .toClient: plan.jitter(for: number, .toClient),
            ],
            client: channel,
            target: target,
            mailbox: mailbox,
            turns: turns.value,
            shared: shared
        )
        let connection = FaultConnection(
            number: admission.number, driver: driver, mailbox: mailbox, on: channel.eventLoop
        )
        let (isStopped, silenced) = shared.withLock { state -> (Bool, Set<FaultDirection>) in
            state.openConnections[connection.number] = connection
            return (state.isStopped, state.silenced)
        }
        if isStopped { connection.tell(.stop) }
        try driver.begin(silenced: silenced)
    }
}
