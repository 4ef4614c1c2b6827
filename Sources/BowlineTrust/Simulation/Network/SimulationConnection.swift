internal import BowlineCore
internal import BowlineTesting
internal import NIOCore

/// The path between the two ends of a connection: carries bytes in both directions, in pieces and after delays that
/// are drawn, and cuts the connection or goes dark as ``SimulationPath`` says.
///
/// Bytes of one direction arrive in their order. Different directions and connections overtake each other.
// Safety: used on the simulation's thread only.
final class SimulationConnection: @unchecked Sendable {
    enum Side: Int, Sendable {
        case client, server

        var other: Side { self == .client ? .server : .client }
    }

    /// What the path does to the connection, with the number of bytes before it.
    enum Event: Sendable {
        case cut(after: Int)
        case dark(after: Int)
    }

    private enum Item {
        case bytes(ByteBuffer)
        case end
        case reset
    }

    /// One direction.
    private struct Lane {
        var items = CircularBuffer<Item>()
        /// When the last item arrives.
        var lastArrival = MonotonicInstant(nanoseconds: .min)
        /// How many bytes are on their way or unread.
        var occupied = 0
        var hasEnded = false
        var isReset = false
    }

    let number: Int
    private let path: SimulationPath
    private let clock: any ServiceClock
    private var random: SeededRandom
    /// The directions, by the side that sends.
    private var lanes = [Lane(), Lane()]
    private var ends: [SimulationChannel?]
    /// Called when both ends are closed.
    private let over: (SimulationConnection) -> Void
    private let event: (Event) -> Void
    /// How many bytes of both directions the path has taken.
    private var carried = 0
    private var isCut = false
    private var isDark = false

    /// - Parameters:
    ///   - event: Called when the path cuts the connection or goes dark.
    ///   - over: Called when both ends are closed.
    init(
        number: Int, client: SimulationChannel, server: SimulationChannel, path: SimulationPath,
        clock: any ServiceClock, random: SeededRandom, event: @escaping (Event) -> Void,
        over: @escaping (SimulationConnection) -> Void
    ) {
        self.number = number
        self.path = path
        self.clock = clock
        self.random = random
        self.event = event
        self.over = over
        ends = [client, server]
    }

    /// The end of this side; nil: it is closed.
    func end(_ side: Side) -> SimulationChannel? { ends[side.rawValue] }

    // MARK: Sending

    /// How many bytes the path takes now.
    func room(from side: Side) -> Int {
        max(0, path.capacity - lanes[side.rawValue].occupied)
    }

    func send(_ bytes: ByteBuffer, from side: Side) {
        var bytes = bytes
        guard !isCut, !lanes[side.rawValue].hasEnded else { return }
        if !isDark, let limit = path.darkAfter, carried + bytes.readableBytes >= limit {
            transmit(bytes.readSlice(length: max(0, limit - carried)), from: side)
            isDark = true
            event(.dark(after: carried))
        }
        if isDark {
            // As in a kernel: the bytes fill the buffer of the sender.
            lanes[side.rawValue].occupied += bytes.readableBytes
            return
        }
        guard let limit = path.cutAfter, carried + bytes.readableBytes >= limit else {
            transmit(bytes, from: side)
            return
        }
        transmit(bytes.readSlice(length: max(0, limit - carried)), from: side)
        cut()
    }

    /// Ends a direction: nothing follows.
    func finish(from side: Side) {
        guard !isDark, !isCut, !lanes[side.rawValue].hasEnded else { return }
        lanes[side.rawValue].hasEnded = true
        add(.end, from: side)
    }

    /// Resets the connection for the other side.
    func reset(from side: Side) {
        guard !isDark, !isCut, !lanes[side.rawValue].isReset else { return }
        lanes[side.rawValue].hasEnded = true
        lanes[side.rawValue].isReset = true
        add(.reset, from: side)
    }

    private func cut() {
        isCut = true
        event(.cut(after: carried))
        for side in [Side.client, .server] { add(path.cut == .reset ? .reset : .end, from: side) }
    }

    /// Cuts the bytes into pieces, and sends each.
    private func transmit(_ bytes: ByteBuffer?, from side: Side) {
        guard var bytes, bytes.readableBytes > 0 else { return }
        carried += bytes.readableBytes
        lanes[side.rawValue].occupied += bytes.readableBytes
        while bytes.readableBytes > 0 {
            // Large bodies come in larger pieces, so that a run stays short.
            let longest = path.longestPiece.map { max($0, bytes.readableBytes / 32) } ?? bytes.readableBytes
            let size = longest >= bytes.readableBytes ? bytes.readableBytes : random.next(in: 1..<longest + 1)
            guard let piece = bytes.readSlice(length: size) else { return }
            add(.bytes(piece), from: side)
        }
    }

    private func add(_ item: Item, from side: Side) {
        var delay = path.latency
        if path.jitter > .zero { delay += path.jitter * random.nextDouble() }
        if path.pauseChance > 0, random.nextBool(probability: path.pauseChance) { delay += path.pause }
        let arrival = max(lanes[side.rawValue].lastArrival, clock.now.advanced(by: delay))
        lanes[side.rawValue].lastArrival = arrival
        lanes[side.rawValue].items.append(item)
        // The closed end has no loop that could run this, and needs none.
        guard let receiver = ends[side.other.rawValue] else { return }
        receiver.loop.schedule(at: arrival) { self.arrive(from: side) }
    }

    // MARK: Arriving

    /// The first item of a direction arrives.
    private func arrive(from side: Side) {
        guard let item = lanes[side.rawValue].items.popFirst() else { return }
        guard let receiver = ends[side.other.rawValue] else {
            // Nothing listens there any more.
            if case .bytes = item { refuse(from: side.other) }
            return
        }
        switch item {
        case .bytes(let bytes): receiver.arrived(bytes)
        case .end: receiver.arrivedEnd()
        case .reset: receiver.arrivedReset()
        }
    }

    /// Answers bytes for a closed end with a reset, as a kernel does.
    private func refuse(from side: Side) {
        guard !isDark, !isCut, let sender = ends[side.other.rawValue] else { return }
        isCut = true
        sender.loop.schedule(at: clock.now.advanced(by: path.latency)) { sender.arrivedReset() }
    }

    /// The end of this side has read bytes.
    func took(_ count: Int, by side: Side) {
        lanes[side.other.rawValue].occupied -= count
        guard let sender = ends[side.other.rawValue] else { return }
        sender.loop.perform { sender.roomGrew() }
    }

    /// The end of this side is closed.
    func closed(_ side: Side) {
        ends[side.rawValue] = nil
        if ends[side.other.rawValue] == nil { over(self) }
    }
}
