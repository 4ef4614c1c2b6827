internal import BowlineCore
internal import BowlinePlatform
internal import BowlineTesting
internal import BowlineTransport
internal import NIOCore

/// The network of a simulated client: in-memory connections to the hosts of a plan.
///
/// A connect takes time, is refused, or is never answered, as ``SimulationAddress`` says. Each connection gets a path
/// of its own (``SimulationPath``). The peers run on an event loop of their own.
// Safety: used on the simulation's thread only.
final class SimulationNetwork: TransportNetwork, @unchecked Sendable {
    /// Adds the handlers of a peer to the channel of an accepted connection. Called on the loop of the peers.
    typealias Accept = @Sendable (SimulationChannel, SimulationAddress) throws -> Void

    let loops: SimulationLoops
    let peers: SimulationLoop
    var eventLoopGroup: any EventLoopGroup { loops }

    private let time: VirtualTime
    private let plan: SimulationPlan
    private let accept: Accept
    private var random: SeededRandom
    private var connectsMade = 0
    private var opening: [Int: SimulationChannel] = [:]
    private var connections: [Int: SimulationConnection] = [:]
    private(set) var figures = SimulationFigures()

    init(_ time: VirtualTime, _ plan: SimulationPlan, accept: @escaping Accept) {
        self.time = time
        self.plan = plan
        self.accept = accept
        loops = SimulationLoops(count: plan.loops, time)
        peers = SimulationLoop(time)
        random = time.makeRandom("network")
    }

    func connect(
        to remote: SocketAddress, from local: SocketAddress?, on loop: any EventLoop,
        prepare: @escaping (any Channel) throws -> Void
    ) -> EventLoopFuture<any Channel> {
        guard let own = loop as? SimulationLoop else { return loop.makeFailedFuture(ChannelError.operationUnsupported) }
        connectsMade += 1
        let number = connectsMade
        let channel = SimulationChannel(
            on: own, number: number, local: try? SocketAddress(ipAddress: "10.9.9.9", port: 1_024 + number),
            remote: remote, dial: { self.dial($0) })
        opening[number] = channel
        channel.closeFuture.whenComplete { _ in self.opening[number] = nil }
        do {
            try prepare(channel)
        } catch {
            channel.close(promise: nil)
            return loop.makeFailedFuture(error)
        }
        channel.register(promise: nil)
        let connected = loop.makePromise(of: Void.self)
        channel.connect(to: remote, promise: connected)
        return connected.futureResult.map { channel as any Channel }
    }

    /// Decides the outcome of a connect.
    private func dial(_ channel: SimulationChannel) {
        let path = plan.fixedPath ?? SimulationPath.drawn(&random, isFaulty: plan.hasFaultyPaths)
        let address = plan.addresses.first { $0.isAddress(channel.remoteAddress) }
        let delay = path.latency * 2 + path.jitter * random.nextDouble()
        let seed = random.next()
        switch address?.behaviour(at: time.elapsed) ?? .refuses {
        case .silent:
            figures.silentConnects += 1
            time.note("connect \(channel.number) gets no answer")
        case .refuses:
            figures.refusedConnects += 1
            time.note("connect \(channel.number) is refused")
            channel.loop.schedule(after: delay) {
                channel.connectFailed(IOError(errnoCode: ECONNREFUSED, reason: "connect"))
            }
        case .accepts:
            guard let address else { return }
            peers.schedule(after: delay) { self.accepted(channel, address, path, SeededRandom(seed: seed)) }
        }
    }

    /// Makes the peer's end, and then tells the client's end.
    private func accepted(
        _ client: SimulationChannel, _ address: SimulationAddress, _ path: SimulationPath, _ random: SeededRandom
    ) {
        guard client.isConnecting else { return }
        figures.connections += 1
        let server = SimulationChannel(
            on: peers, number: client.number, local: client.remoteAddress, remote: client.localAddress, dial: nil)
        let connection = SimulationConnection(
            number: client.number, client: client, server: server, path: path, clock: time.clock, random: random,
            event: { [weak self] in self?.happened($0, on: client.number) },
            over: { [weak self] in self?.connections[$0.number] = nil })
        connections[client.number] = connection
        time.note("connection \(client.number) to \(address.address)")
        do {
            try accept(server, address)
        } catch {
            time.note("connection \(client.number) has no peer: \(error)")
        }
        server.register(promise: nil)
        server.established(connection, as: .server)
        client.loop.perform {
            guard client.isConnecting else {
                // The client has given up meanwhile.
                connection.reset(from: .client)
                connection.closed(.client)
                return
            }
            client.established(connection, as: .client)
        }
    }

    private func happened(_ event: SimulationConnection.Event, on connection: Int) {
        switch event {
        case .cut(let count):
            figures.cuts += 1
            time.note("connection \(connection) is cut after \(count) bytes")
        case .dark(let count):
            figures.dark += 1
            time.note("connection \(connection) goes dark after \(count) bytes")
        }
    }

    /// How many channels of the client are not closed.
    var openChannels: Int { opening.count }

    /// The channel of the peer of this connection; nil: it is closed.
    func peer(of number: Int) -> SimulationChannel? { connections[number]?.end(.server) }

    /// The numbers of the connections with an open peer, in order.
    var openPeers: [Int] { connections.keys.sorted().filter { connections[$0]?.end(.server) != nil } }

    /// Resets the connections of all open peers. A peer behind a dark path does not see that the client is gone.
    func closePeers() {
        for number in openPeers {
            guard let peer = peer(of: number) else { continue }
            peers.perform { peer.closeWithReset() }
        }
    }
}

/// How often things happened in a simulation, so that a run of many seeds shows that all of them happen.
struct SimulationFigures: Sendable, Hashable {
    var connections = 0
    var refusedConnects = 0
    var silentConnects = 0
    var cuts = 0
    var dark = 0
}

/// One address of a host, and how it answers a connect.
struct SimulationAddress: Sendable, Hashable {
    enum Behaviour: Sendable, Hashable {
        case accepts, refuses, silent
    }

    /// A time in which the address behaves differently.
    struct Outage: Sendable, Hashable {
        let from: Duration
        let to: Duration
        let behaviour: Behaviour
    }

    let address: IPAddress
    let port: Int
    /// Whether the peer speaks HTTP/2.
    var isHTTP2 = false
    var usual = Behaviour.accepts
    var outage: Outage?

    /// How the address answers a connect at this time since the simulation began.
    func behaviour(at elapsed: Duration) -> Behaviour {
        if let outage, outage.from <= elapsed, elapsed < outage.to { return outage.behaviour }
        return usual
    }

    func isAddress(_ remote: SocketAddress?) -> Bool {
        remote?.ipAddress == address.description && remote?.port == port
    }
}
