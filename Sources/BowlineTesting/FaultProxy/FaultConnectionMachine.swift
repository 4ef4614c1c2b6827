internal import BowlineCore
internal import NIOCore

/// Decides what a ``FaultProxy`` does with one connection: when it dials, when bytes pass, and how the connection ends.
///
/// Its inputs are facts: received bytes, completed writes, closed sockets. ``next(at:)`` returns one action after
/// another, until it returns `wait` or `rest`. The machine has no clock, socket or source of random numbers.
///
/// | phase | next phase | when |
/// |---|---|---|
/// | held | dialing | the delay has passed and the direction to the server is not silent |
/// | held | finishing, over | the opening is refused; the client is gone |
/// | dialing | open | the server has been dialed |
/// | dialing | over | the dial has failed, or the client is gone |
/// | open | finishing | cut with FIN, or both directions have ended |
/// | open | over | cut with RST, a peer's reset has been passed on, or both sockets are closed |
/// | finishing | over | both sockets are closed, or a second has passed |
struct FaultConnectionMachine: ~Copyable {
    /// One of the two peers of the proxy.
    enum Side: Sendable, CaseIterable {
        case client, server
    }

    enum Action {
        /// Dial the server, then report `dialed` or `dialFailed`.
        case dial
        /// Write these bytes to the direction's receiver, then report `wrote`.
        case write(ByteBuffer, FaultDirection)
        /// Send FIN to this peer.
        case finish(Side)
        /// Close the socket to this peer with RST.
        case reset(Side)
        /// Close the socket to this peer.
        case close(Side)
        case note(FaultRecord)
        /// Do nothing until the connection's next turn on its event loop: it has made many writes without a wait.
        case rest
        /// Do nothing until this instant or the next fact, whichever is first.
        case wait(until: MonotonicInstant?)
    }

    /// How long the peers have to end the connection after the proxy has sent them its end.
    private static let finishingTime = Duration.seconds(1)
    /// The number of writes in a turn, before the event loop does other work. A write takes about 10 µs. A script may
    /// slice 64 KiB into 65,536 writes of one byte.
    private static let writeLimit = 64

    private enum Phase {
        case held(until: MonotonicInstant)
        case dialing
        case open
        case finishing(until: MonotonicInstant)
        case over
    }

    private struct Peer {
        var isPresent: Bool
        var outputEnded = false
        var isGone = false

        var isThere: Bool { isPresent && !isGone }
    }

    private let number: Int
    private let opening: FaultScript.Opening
    /// A text for each lane that says what the lane does to all bytes. Lanes that change nothing are left out.
    private let lanes: [(direction: FaultDirection, text: String)]
    private var phase: Phase
    private var toServer: FaultLaneMachine
    private var toClient: FaultLaneMachine
    private var client = Peer(isPresent: true)
    private var server = Peer(isPresent: false)
    private var pending = CircularBuffer<Action>()
    /// The number of writes since the last wait or rest.
    private var writesInTurn = 0

    init(number: Int, script: FaultScript, at now: MonotonicInstant) {
        self.number = number
        opening = script.opening
        lanes = FaultDirection.allCases.compactMap { direction in
            script[direction].text.map { (direction: direction, text: $0) }
        }
        phase = .held(until: now)
        toServer = FaultLaneMachine(script.toServer)
        toClient = FaultLaneMachine(script.toClient)
    }

    var isOver: Bool {
        if case .over = phase { true } else { false }
    }

    // MARK: Facts

    /// Records that the client's connection has been accepted.
    ///
    /// - Parameter silenced: The directions in which nothing passes until `resume`.
    mutating func accepted(silenced: Set<FaultDirection>, at now: MonotonicInstant) {
        guard !isOver else { return }
        note("accepted")
        for lane in lanes { note(lane.text, lane.direction) }
        switch opening {
        case .connect: break
        case .delay(let time):
            note("dial delayed by \(time)")
            phase = .held(until: now.advanced(by: FaultLaneMachine.inRange(time)))
        case .silence: silence(Set(FaultDirection.allCases), at: now)
        case .refuse(let how):
            note("refused (\(how.text))", kind: .cut(how))
            end(how, at: now)
        }
        if !isOver { silence(silenced, at: now) }
    }

    mutating func dialed(at now: MonotonicInstant) {
        guard case .dialing = phase else { return }
        server.isPresent = true
        phase = .open
        note("connected")
    }

    mutating func dialFailed(_ reason: String) {
        guard case .dialing = phase else { return }
        note("dial failed: \(reason)")
        giveUp()
    }

    mutating func received(
        _ bytes: ByteBuffer, from side: Side, at now: MonotonicInstant, jitter: Double
    ) {
        withLane(from: side) { $0.received(bytes, at: now, jitter: jitter) }
    }

    /// Records that the peer has sent its FIN.
    mutating func inputEnded(_ side: Side, at now: MonotonicInstant) {
        withLane(from: side) { $0.senderEnded(.finished, at: now) }
    }

    /// Records that the direction's receiver has taken the written bytes, or that its socket has failed.
    mutating func wrote(_ direction: FaultDirection, succeeded: Bool, at now: MonotonicInstant) {
        withLane(direction) { lane in
            lane.wrote(at: now)
            if !succeeded { lane.stop() }
        }
    }

    /// Records that the socket to the peer is closed.
    ///
    /// - Parameter failed: Whether an error closed it.
    mutating func closed(_ side: Side, failed: Bool, at now: MonotonicInstant) {
        let peer = side == .client ? client : server
        guard !peer.isGone else { return }
        withPeer(side) { $0.isGone = true }
        let other = Self.opposite(side)
        switch phase {
        case .over: return
        case .held, .dialing:
            note("the client left before the server was dialed")
            giveUp()
        case .finishing:
            if !isThere(other) { phase = .over }
        case .open:
            // If the peer's FIN follows ours, the kernel closes the socket without an error.
            let wasReset = failed || !peer.outputEnded
            withLane(Self.direction(to: side)) { $0.stop() }
            if !lane(from: side).isOver {
                withLane(from: side) { $0.senderEnded(wasReset ? .reset : .finished, at: now) }
            } else if wasReset {
                passReset(from: side)
            } else {
                finishing(at: now)
            }
        }
    }

    // MARK: Requests

    mutating func silence(_ directions: Set<FaultDirection>, at now: MonotonicInstant) {
        guard !isOver else { return }
        for direction in FaultDirection.allCases where directions.contains(direction) {
            guard !lane(direction).isSilent else { continue }
            note("silence", direction, kind: .silence)
            withLane(direction) { $0.silence(at: now) }
        }
    }

    mutating func resume(at now: MonotonicInstant) {
        guard !isOver, toServer.isSilent || toClient.isSilent else { return }
        note("resumed")
        toServer.resume(at: now)
        toClient.resume(at: now)
    }

    mutating func cut(_ how: FaultCut, at now: MonotonicInstant) {
        guard !isOver else { return }
        note("cut (\(how.text))", kind: .cut(how))
        end(how, at: now)
    }

    /// Closes the open sockets.
    mutating func stop() {
        for side in Side.allCases where isThere(side) { pending.append(.close(side)) }
        giveUpLanes()
        phase = .over
    }

    // MARK: Decisions

    /// Whether the driver should read bytes of this peer.
    func wantsBytes(of side: Side, at now: MonotonicInstant) -> Bool {
        switch phase {
        case .held, .dialing, .over: false
        case .finishing: isThere(side)
        case .open: isThere(side) && (lane(from: side).isOver || lane(from: side).wantsBytes(at: now))
        }
    }

    /// Returns the next action. Call it again after each action except `wait` and `rest`.
    mutating func next(at now: MonotonicInstant) -> Action {
        guard writesInTurn < Self.writeLimit else {
            writesInTurn = 0
            return .rest
        }
        let action = decide(at: now)
        switch action {
        case .write: writesInTurn += 1
        case .wait: writesInTurn = 0
        case .dial, .finish, .reset, .close, .note, .rest: break
        }
        return action
    }

    private mutating func decide(at now: MonotonicInstant) -> Action {
        while true {
            if let action = pending.popFirst() { return action }
            switch phase {
            case .over: return .wait(until: nil)
            case .dialing: return .wait(until: nil)
            case .held(let time):
                if toServer.isSilent {
                    if let action = advance(.toServer, at: now) { return action }
                    continue
                }
                guard time <= now else { return .wait(until: time) }
                phase = .dialing
                return .dial
            case .finishing(let time):
                guard time <= now else { return .wait(until: time) }
                for side in Side.allCases where isThere(side) { pending.append(.close(side)) }
                phase = .over
            case .open:
                if let action = advanceBoth(at: now) { return action }
            }
        }
    }

    /// Returns the next action of either direction; nil: a direction has changed the state, so decide again.
    private mutating func advanceBoth(at now: MonotonicInstant) -> Action? {
        var earliest: MonotonicInstant?
        for direction in FaultDirection.allCases {
            guard let action = advance(direction, at: now) else { return nil }
            guard case .wait(let time) = action else { return action }
            if let time { earliest = min(time, earliest ?? time) }
        }
        return .wait(until: earliest)
    }

    private mutating func advance(_ direction: FaultDirection, at now: MonotonicInstant) -> Action? {
        let step = withLane(direction) { $0.next(at: now) }
        switch step {
        case .write(let bytes): return .write(bytes, direction)
        case .wait(let time): return .wait(until: time)
        case .fault(let event): happened(event, direction, at: now)
        case .senderEnded(.finished):
            note("end of stream", direction)
            endReceiver(direction, at: now)
        case .senderEnded(.reset): passReset(from: direction == .toServer ? .client : .server)
        case .abandoned:
            note("given up after \(FaultLaneMachine.silenceLimit) in silence", direction)
            end(.reset, at: now)
        }
        return nil
    }

    private mutating func happened(_ event: FaultEvent, _ direction: FaultDirection, at now: MonotonicInstant) {
        note(event.kind.text, direction, kind: event.kind)
        switch event.kind {
        case .cut(let how): end(how, at: now)
        case .halfClose: endReceiver(direction, at: now)
        case .silenceBoth: withLane(direction.opposite) { $0.silence(at: now) }
        case .pause, .silence, .swallow, .duplicate, .corrupt: break
        }
    }

    /// Ends one direction. If the other direction has ended too, ends the connection.
    private mutating func endReceiver(_ direction: FaultDirection, at now: MonotonicInstant) {
        withLane(direction) { $0.stop() }
        let receiver: Side = direction == .toServer ? .server : .client
        sendFinish(receiver)
        if lane(direction.opposite).isOver { finishing(at: now) }
    }

    private mutating func passReset(from side: Side) {
        note("reset by the \(side)", Self.direction(from: side))
        giveUp()
    }

    private mutating func end(_ how: FaultCut, at now: MonotonicInstant) {
        switch how {
        case .reset: giveUp()
        case .fin:
            sendFinish(.client)
            sendFinish(.server)
            finishing(at: now)
        }
    }

    private mutating func sendFinish(_ side: Side) {
        guard isThere(side), !(side == .client ? client : server).outputEnded else { return }
        withPeer(side) { $0.outputEnded = true }
        pending.append(.finish(side))
    }

    /// Waits until the peers end the connection, after the proxy has sent its end to both.
    private mutating func finishing(at now: MonotonicInstant) {
        giveUpLanes()
        phase = isThere(.client) || isThere(.server) ? .finishing(until: now.advanced(by: Self.finishingTime)) : .over
    }

    /// Resets the open sockets.
    private mutating func giveUp() {
        for side in Side.allCases where isThere(side) { pending.append(.reset(side)) }
        giveUpLanes()
        phase = .over
    }

    private mutating func giveUpLanes() {
        toServer.stop()
        toClient.stop()
    }

    // MARK: Parts

    private mutating func note(_ what: String, _ direction: FaultDirection? = nil, kind: FaultEvent.Kind? = nil) {
        let offset = if let direction { lane(direction).position } else { 0 }
        pending.append(.note(FaultRecord(number, direction, offset, what, kind: kind)))
    }

    private func isThere(_ side: Side) -> Bool {
        switch side {
        case .client: client.isThere
        case .server: server.isThere
        }
    }

    private func lane(_ direction: FaultDirection) -> FaultLaneMachine {
        switch direction {
        case .toServer: toServer
        case .toClient: toClient
        }
    }

    private func lane(from side: Side) -> FaultLaneMachine { lane(Self.direction(from: side)) }

    private mutating func withLane<Result>(
        _ direction: FaultDirection, _ change: (inout FaultLaneMachine) -> Result
    ) -> Result {
        switch direction {
        case .toServer: change(&toServer)
        case .toClient: change(&toClient)
        }
    }

    private mutating func withLane(from side: Side, _ change: (inout FaultLaneMachine) -> Void) {
        withLane(Self.direction(from: side), change)
    }

    private mutating func withPeer(_ side: Side, _ change: (inout Peer) -> Void) {
        switch side {
        case .client: change(&client)
        case .server: change(&server)
        }
    }

    private static func opposite(_ side: Side) -> Side { side == .client ? .server : .client }

    private static func direction(from side: Side) -> FaultDirection { side == .client ? .toServer : .toClient }

    private static func direction(to side: Side) -> FaultDirection { side == .client ? .toClient : .toServer }
}
