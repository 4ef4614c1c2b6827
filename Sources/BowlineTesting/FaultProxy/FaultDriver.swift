internal import BowlineCore
internal import BowlinePlatform
internal import NIOCore
internal import NIOPosix

/// Performs the actions of a ``FaultConnectionMachine`` on two sockets and their event loop. Used on that loop only.
final class FaultDriver {
    typealias Side = FaultConnectionMachine.Side

    /// A socket and its state.
    private struct Endpoint {
        let channel: any Channel
        var isReading = false
        var hasFailed = false
        var isClosed = false
    }

    /// The reason why ``run()`` returns.
    private enum Pause {
        /// Nothing is to be done before this instant, unless an event happens.
        case wait(until: MonotonicInstant?)
        /// More is to be done, after the event loop has done other work.
        case rest
    }

    private let number: Int
    private let target: FaultTarget
    private let shared: Waitable<FaultProxyState>
    private let mailbox: FaultConnection.Mailbox
    private let turns: FaultTurns
    private let eventLoop: any EventLoop
    private let closedPromise: EventLoopPromise<Void>
    private let clock = MonotonicClock()

    private var machine: FaultConnectionMachine
    private var jitter: [FaultDirection: SeededRandom]
    private var client: Endpoint
    private var server: Endpoint?
    /// Whether the client's socket has become active, so that it can be read and written, or was closed before that.
    private var isActive = false
    private var isDialing = false
    /// The sockets of the dial under way.
    private var dialed: [any Channel] = []
    private var isRunning = false
    private var hasNews = false
    private var hasEnded = false
    private var awaitsTurn = false
    private var timer: Scheduled<Void>?
    private var timerIsFor: MonotonicInstant?

    init(
        number: Int,
        script: FaultScript,
        jitter: [FaultDirection: SeededRandom],
        client: any Channel,
        target: FaultTarget,
        mailbox: FaultConnection.Mailbox,
        turns: FaultTurns,
        shared: Waitable<FaultProxyState>
    ) {
        self.number = number
        self.target = target
        self.shared = shared
        self.mailbox = mailbox
        self.turns = turns
        self.jitter = jitter
        self.client = Endpoint(channel: client)
        eventLoop = client.eventLoop
        closedPromise = client.eventLoop.makePromise(of: Void.self)
        machine = FaultConnectionMachine(number: number, script: script, at: MonotonicClock().now)
    }

    var closedFuture: EventLoopFuture<Void> { closedPromise.futureResult }

    /// Begins to serve the client's socket.
    ///
    /// - Parameter silenced: The directions in which nothing passes at first.
    func begin(silenced: Set<FaultDirection>) throws {
        // Do this now, so that later commands come after it.
        machine.accepted(silenced: silenced, at: clock.now)
        observeClose(of: client.channel, .client)
        try client.channel.pipeline.syncOperations.addHandler(FaultSocket(self, .client))
    }

    // MARK: Facts

    func activated() {
        isActive = true
        run()
    }

    func received(_ bytes: ByteBuffer, from side: Side) {
        change(side) { $0.isReading = false }
        let direction: FaultDirection = side == .client ? .toServer : .toClient
        let drawn = jitter[direction]?.nextDouble() ?? 0
        machine.received(bytes, from: side, at: clock.now, jitter: drawn)
        run()
    }

    func inputEnded(_ side: Side) {
        machine.inputEnded(side, at: clock.now)
        run()
    }

    func failed(_ side: Side) {
        change(side) { $0.hasFailed = true }
    }

    func closed(_ side: Side) {
        isActive = true
        machine.closed(side, failed: endpoint(side)?.hasFailed ?? false, at: clock.now)
        run()
    }

    /// Records when the socket is closed, whatever closes it.
    private func observeClose(of channel: any Channel, _ side: Side) {
        channel.closeFuture.assumeIsolated().whenComplete { _ in
            self.change(side) { $0.isClosed = true }
            self.closed(side)
        }
    }

    // MARK: Actions

    /// Does all that is due now. Executes the commands from the proxy first.
    func run() {
        hasNews = true
        guard isActive, !isRunning else { return }
        isRunning = true
        var pause = Pause.wait(until: nil)
        while hasNews {
            hasNews = false
            obey()
            pause = performAll()
            if case .rest = pause { break }
        }
        isRunning = false
        switch pause {
        case .wait(let time): setTimer(for: time)
        case .rest:
            setTimer(for: nil)
            awaitTurn()
        }
        for side in Side.allCases { readIfWanted(side) }
        if machine.isOver { endIfClosed() }
    }

    private func obey() {
        for command in mailbox.takeAll() {
            let now = clock.now
            switch command {
            case .silence(let directions): machine.silence(directions, at: now)
            case .resume: machine.resume(at: now)
            case .cut(let how): machine.cut(how, at: now)
            case .stop: machine.stop()
            }
        }
    }

    private func awaitTurn() {
        guard !awaitsTurn else { return }
        awaitsTurn = true
        turns.add {
            self.awaitsTurn = false
            self.run()
        }
    }

    private func performAll() -> Pause {
        while true {
            switch machine.next(at: clock.now) {
            case .wait(let time): return .wait(until: time)
            case .rest: return .rest
            case .dial: dial()
            case .write(let bytes, let direction): write(bytes, direction)
            case .finish(let side): endpoint(side)?.channel.close(mode: .output, promise: nil)
            case .reset(let side): reset(side)
            case .close(let side): endpoint(side)?.channel.close(promise: nil)
            case .note(let record): shared.withLock { $0.note(record) }
            }
        }
    }

    private func write(_ bytes: ByteBuffer, _ direction: FaultDirection) {
        guard let channel = endpoint(direction == .toServer ? .server : .client)?.channel else {
            machine.wrote(direction, succeeded: false, at: clock.now)
            return
        }
        let written = eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { result in
            let succeeded = if case .success = result { true } else { false }
            self.machine.wrote(direction, succeeded: succeeded, at: self.clock.now)
            self.run()
        }
        channel.writeAndFlush(bytes, promise: written)
    }

    private func reset(_ side: Side) {
        guard let channel = endpoint(side)?.channel else { return }
        if let provider = channel as? any SocketOptionProvider {
            // On the channel's own event loop, the option is set when this call returns.
            _ = provider.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        }
        channel.close(promise: nil)
    }

    private func dial() {
        isDialing = true
        let driver = NIOLoopBound(self, eventLoop: eventLoop)
        let bootstrap = ClientBootstrap(group: eventLoop)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.autoRead, value: false)
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try driver.value.dials(channel) }
            }
        target.dial(bootstrap).assumeIsolated().whenComplete { result in
            self.dialEnded(result)
        }
    }

    /// Notes a socket of the dial.
    private func dials(_ channel: any Channel) throws {
        guard isDialing, !machine.isOver else { throw ChannelError.ioOnClosedChannel }
        dialed.append(channel)
    }

    private func dialEnded(_ result: Result<any Channel, any Error>) {
        isDialing = false
        dialed = []
        switch result {
        case .success(let channel):
            server = Endpoint(channel: channel)
            observeClose(of: channel, .server)
            do {
                try channel.pipeline.syncOperations.addHandler(FaultSocket(self, .server))
                machine.dialed(at: clock.now)
                if machine.isOver { channel.close(promise: nil) }
            } catch {
                channel.close(promise: nil)
                machine.dialFailed("\(error)")
            }
        case .failure(let error):
            machine.dialFailed("\(error)")
        }
        run()
    }

    private func setTimer(for time: MonotonicInstant?) {
        guard time != timerIsFor else { return }
        timer?.cancel()
        timer = nil
        timerIsFor = time
        guard let time else { return }
        // The event loop uses the same clock.
        let deadline = NIODeadline.uptimeNanoseconds(UInt64(max(0, time.nanoseconds)))
        timer = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
            self.timer = nil
            self.timerIsFor = nil
            self.run()
        }
    }

    private func readIfWanted(_ side: Side) {
        guard let endpoint = self.endpoint(side), !endpoint.isReading, machine.wantsBytes(of: side, at: clock.now)
        else { return }
        change(side) { $0.isReading = true }
        endpoint.channel.read()
    }

    private func endIfClosed() {
        // Closing these sockets makes the dial fail. Nothing waits for this dial any more.
        for channel in dialed { channel.close(promise: nil) }
        guard !hasEnded, !isDialing, client.isClosed, server?.isClosed ?? true else { return }
        hasEnded = true
        setTimer(for: nil)
        shared.withLock { state in
            state.note(FaultRecord(number, nil, 0, "closed"))
            state.openConnections[number] = nil
        }
        closedPromise.succeed()
    }

    // MARK: Sockets

    private func endpoint(_ side: Side) -> Endpoint? {
        side == .client ? client : server
    }

    private func change(_ side: Side, _ body: (inout Endpoint) -> Void) {
        switch side {
        case .client: body(&client)
        case .server:
            guard var changed = server else { return }
            body(&changed)
            server = changed
        }
    }
}
