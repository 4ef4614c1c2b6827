internal import NIOCore
internal import NIOPosix

/// A TCP proxy that simulates faults of the network in front of a server, on this machine or another.
///
/// It delays, slices, pauses, cuts, drops, repeats and changes bytes, per connection and direction. A ``FaultPlan``
/// schedules the faults; methods cause them at once (``silence(_:connections:)``, ``cut(_:connections:)``). The proxy
/// does not interpret the bytes, so TLS and HTTP/2 pass through it. To script the server's own behaviour, use
/// ``LoopbackServer``; the two can be combined.
///
/// ```swift
/// try await FaultProxy.withProxy(port: server.port) { proxy in
///     proxy.use(.scripts([FaultScript { $0.toClient.events = [FaultEvent(at: 20, .cut(.reset))] }]))
///     …
///     #expect(proxy.log.contains { $0.kind == .cut(.reset) })
/// }
/// ```
///
/// The proxy listens on 127.0.0.1. It passes on:
///
/// - Back-pressure. If a peer does not read, the proxy stops reading from the other peer. Each direction buffers at
///   most 64 KiB plus one read (1 MiB plus one read if it has latency or jitter), in addition to the kernel's buffers.
/// - A half-close.
/// - A reset. When a peer resets its connection, the proxy resets the other connection after all bytes that it has read
///   have passed. When the server cannot be dialed, the proxy resets the client's connection.
///
/// While a direction is silent, the proxy's kernel still acknowledges the sender's bytes until the kernel's buffers are
/// full. If the sender of a silent direction has ended, the proxy resets the connection after 30 s.
///
/// The proxy runs on SwiftNIO's shared event loops, as clients do. After 64 writes of a connection it lets the loop do
/// other work.
public final class FaultProxy: Sendable {
    /// The port, on 127.0.0.1.
    public let port: Int

    let shared: Waitable<FaultProxyState>
    private let listener: any Channel

    private init(_ listener: any Channel, _ shared: Waitable<FaultProxyState>) {
        self.listener = listener
        self.shared = shared
        port = listener.localAddress?.port ?? 0
    }

    /// Starts a proxy. Stop it with ``stop()``, or use ``withProxy(to:port:plan:isolation:_:)``, which stops it.
    ///
    /// - Parameters:
    ///   - host: The server's name or address. Default `127.0.0.1`.
    ///   - port: The server's port, from 1 to 65,535. The proxy dials it for each connection, so the server may start
    ///     later.
    ///   - plan: The scripts of the connections. Default none.
    /// - Throws: ``FaultProxyError`` if the host or the port cannot be dialed; the error of binding the socket.
    public static func start(
        to host: String = "127.0.0.1", port: Int, plan: FaultPlan = .none
    ) async throws -> FaultProxy {
        let target = try FaultTarget(host: host, port: port)
        let shared = Waitable(FaultProxyState(plan: plan))
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            // The driver reads when the lane has room.
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try Self.accept(channel, target, shared) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return FaultProxy(listener, shared)
    }

    /// Runs `body` with a new proxy, and stops the proxy when `body` returns or throws.
    ///
    /// - Throws: the error of ``start(to:port:plan:)``, `body` or ``stop()``.
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

    /// Returns the URL of the server behind the proxy: `http://127.0.0.1:49152`.
    ///
    /// The certificate ``TestCertificates/server`` is valid for this address.
    public func baseURL(scheme: String = "http") -> String {
        "\(scheme)://127.0.0.1:\(port)"
    }

    /// Replaces the plan. The new plan applies to the connections accepted from now on, and counts them from 0.
    public func use(_ plan: FaultPlan) {
        shared.withLock { state in
            state.plan = plan
            state.planStart = state.accepted
        }
    }

    /// Passes no bytes and no FIN until ``resume()``. The sockets stay open.
    ///
    /// Bytes that a peer sends after this method has returned do not pass. While the direction to the server is silent,
    /// the proxy does not dial the server for newly accepted connections.
    ///
    /// - Parameters:
    ///   - directions: The directions that become silent. Default both.
    ///   - connections: The numbers of the connections; nil: all open connections, and all that are accepted until
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

    /// Ends every silence, including those of events and openings. The bytes that were kept back pass.
    public func resume() {
        let concerned = shared.withLock { state in
            state.silenced = []
            return state.connections(nil)
        }
        for connection in concerned { connection.tell(.resume) }
    }

    /// Ends connections at once, on both sides, in any phase.
    ///
    /// - Parameters:
    ///   - how: With FIN or with RST.
    ///   - connections: The numbers of the connections; nil: all open connections. Default nil.
    public func cut(_ how: FaultCut, connections: Set<Int>? = nil) {
        for connection in shared.withLock({ $0.connections(connections) }) { connection.tell(.cut(how)) }
    }

    /// The numbers, from 0, of the open connections. A connection is open until both of its sockets are closed.
    public var connections: [Int] { shared.withLock { $0.openConnections.keys.sorted() } }

    /// The number of accepted connections, including ended ones.
    public var accepted: Int { shared.withLock { $0.accepted } }

    /// The last 10,000 records, in order: faults, and the beginnings and ends of connections. After the beginning of a
    /// connection come the latency, jitter, slices and rate of its lanes.
    public var log: [FaultRecord] { shared.withLock { Array($0.records.suffix(FaultProxyState.logLimit)) } }

    /// Waits until at least `count` connections have been accepted, including ended ones.
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

    /// Waits until the log has a record for which `matches` returns true.
    ///
    /// - Throws: ``WaitTimeout``, with the last record of the log, after `timeout`; `CancellationError` when the task
    ///   is cancelled.
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

    /// Stops listening, closes all connections, and waits until they are closed. Further calls have no effect.
    ///
    /// - Throws: the error of closing the listening socket. The connections are closed nevertheless.
    public func stop() async throws {
        shared.withLock { $0.isStopped = true }
        var failure: (any Error)?
        do {
            try await listener.close().get()
        } catch ChannelError.alreadyClosed {
        } catch {
            failure = error
        }
        for entered in shared.withLock({ Array($0.entering.values) }) { try await entered.get() }
        let open = shared.withLock { $0.connections(nil) }
        for connection in open { connection.tell(.stop) }
        for connection in open { try await connection.closed.get() }
        if let failure { throw failure }
    }

    /// Gives an accepted socket its number and its script, and starts its driver. Called on the socket's event loop.
    private static func accept(
        _ channel: any Channel, _ target: FaultTarget, _ shared: Waitable<FaultProxyState>
    ) throws {
        let entered = channel.eventLoop.makePromise(of: Void.self)
        defer { entered.succeed() }
        let admitted = shared.withLock { $0.admit(entered.futureResult) }
        guard let admission = admitted else { throw ChannelError.ioOnClosedChannel }
        // The plan may call a closure of the user, so ask it without the lock.
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
            state.enter(connection)
            return (state.isStopped, state.silenced)
        }
        if isStopped { connection.tell(.stop) }
        try driver.begin(silenced: silenced)
    }
}
