internal import BowlineCore
internal import NIOCore

/// Decides what happens to the bytes of one direction, and when.
///
/// Bytes come in with ``received(_:at:jitter:)`` and are held in order; ``next(at:)`` says what to do now: write these bytes
/// and report ``wrote(at:)``, note a fault, pass the sender's end on, or wait. One write is under way at a time, so that an
/// event at byte n happens when the receiver's kernel has taken byte n, and a receiver that takes nothing stops the sender.
struct FaultLaneMachine {
    /// How the sender ended.
    enum SenderEnd: Sendable, Equatable {
        /// FIN.
        case finished
        /// RST, or the socket failed.
        case reset
    }

    /// What to do now.
    enum Step {
        /// Write these bytes to the receiver, and report `wrote` when they have been taken.
        case write(ByteBuffer)
        /// This event happens. Cuts, half-closes and what concerns the other direction are the connection's to do.
        case fault(FaultEvent)
        /// All that the sender sent has passed; now its end does.
        case senderEnded(SenderEnd)
        /// The sender ended long ago, and the direction is silent still.
        case abandoned
        /// Nothing until then, or until the next fact.
        case wait(until: MonotonicInstant?)
    }

    /// How long a silent direction is kept after its sender has ended.
    static let silenceLimit = Duration.seconds(30)
    /// How many bytes are held before reading stops.
    private static let heldLimit = 1 << 16
    /// The same for a direction with latency, which holds what is under way.
    private static let delayedLimit = 1 << 20
    private static let pieceLimit = 256
    /// The most bytes of a write, and of what is kept to be repeated.
    private static let blockLimit = 1 << 16
    private static let longest = Duration.seconds(1_000_000_000)

    private struct Piece {
        var bytes: ByteBuffer
        let due: MonotonicInstant
    }

    private struct Ending {
        let kind: SenderEnd
        let due: MonotonicInstant
        let noticed: MonotonicInstant
    }

    private struct Departure {
        let count: Int
        let at: MonotonicInstant
    }

    private static let always = MonotonicInstant(nanoseconds: .min)

    private let latency: Duration
    private let jitter: Duration
    private let rate: Int?
    private let sliceLimit: Int
    private let sliceGap: Duration
    private var events: ArraySlice<FaultEvent>

    private var held = CircularBuffer<Piece>()
    private var heldBytes = 0
    private var lastDue = Self.always
    private var ending: Ending?
    /// How many bytes of the sender have been taken: passed on, or swallowed.
    private(set) var position = 0

    private var swallowing = 0
    private var corrupting = 0
    private var duplicating = 0
    /// What has passed of the bytes that are passed on twice.
    private var copied = ByteBuffer()
    /// What is passed on once more before anything else.
    private var repeated = ByteBuffer()

    private var isWriting = false
    private var pausedUntil = Self.always
    private var restsUntil = Self.always
    private var silentSince: MonotonicInstant?

    /// When the line was free again after the last bytes, and since when nothing but the rate holds bytes up.
    private var freeAt = Self.always
    private var ableSince = Self.always
    private var departure: Departure?

    /// Nothing passes any more: the end has been passed on, or the receiver is gone. What still comes is dropped.
    private(set) var isOver = false

    init(_ lane: FaultLane) {
        latency = Self.inRange(lane.latency)
        jitter = Self.inRange(lane.jitter)
        rate = lane.bytesPerSecond.map { max(1, $0) }
        sliceGap = lane.sliceBytes == nil ? .zero : Self.inRange(lane.sliceGap)
        // With a rate, what passes in 20 ms goes at once.
        let quantum = rate.map { max(1, $0 / 50) } ?? Self.blockLimit
        sliceLimit = min(max(1, lane.sliceBytes ?? Self.blockLimit), quantum, Self.blockLimit)
        let inOrder = lane.events.enumerated().map { index, event in
            (index, FaultEvent(at: max(0, event.offset), event.kind))
        }
        .sorted { ($0.1.offset, $0.0) < ($1.1.offset, $1.0) }
        events = ArraySlice(inOrder.map { $0.1 })
    }

    static func inRange(_ time: Duration) -> Duration {
        min(max(.zero, time), longest)
    }

    /// Whether nothing passes until `resume`.
    var isSilent: Bool { silentSince != nil }

    /// Whether more bytes of the sender should be read.
    func wantsBytes(at now: MonotonicInstant) -> Bool {
        guard !isOver, ending == nil, !isSilent, pausedUntil <= now, held.count < Self.pieceLimit else { return false }
        return heldBytes < (latency + jitter > .zero ? Self.delayedLimit : Self.heldLimit)
    }

    /// - Parameter fraction: How much of the jitter this piece has, from 0 to 1.
    mutating func received(_ bytes: ByteBuffer, at now: MonotonicInstant, jitter fraction: Double) {
        guard !isOver, ending == nil, bytes.readableBytes > 0 else { return }
        let drawn = Duration.nanoseconds(Int64(Double(jitter.saturatingNanoseconds) * min(max(0, fraction), 1)))
        lastDue = max(lastDue, now.advanced(by: latency + drawn))
        held.append(Piece(bytes: bytes, due: lastDue))
        heldBytes += bytes.readableBytes
    }

    /// A reset takes the place of an end in order that has not passed yet.
    mutating func senderEnded(_ kind: SenderEnd, at now: MonotonicInstant) {
        guard !isOver, ending == nil || (kind == .reset && ending?.kind == .finished) else { return }
        ending = Ending(kind: kind, due: max(lastDue, now.advanced(by: latency)), noticed: now)
    }

    mutating func wrote(at now: MonotonicInstant) {
        isWriting = false
        restsUntil = now.advanced(by: sliceGap)
        ableSince = max(now, restsUntil)
    }

    mutating func silence(at now: MonotonicInstant) {
        if silentSince == nil { silentSince = now }
        departure = nil
    }

    mutating func resume(at now: MonotonicInstant) {
        guard silentSince != nil else { return }
        silentSince = nil
        ableSince = max(ableSince, now)
    }

    /// Lets nothing pass any more.
    mutating func stop() {
        isOver = true
        held.removeAll()
        heldBytes = 0
        copied = ByteBuffer()
        repeated = ByteBuffer()
    }

    /// What to do now. To be asked again after each step but a wait.
    mutating func next(at now: MonotonicInstant) -> Step {
        guard !isOver else { return .wait(until: nil) }
        if let silentSince { return nextInSilence(since: silentSince, at: now) }
        guard !isWriting else { return .wait(until: nil) }
        let able = max(pausedUntil, restsUntil)
        guard able <= now else { return .wait(until: able) }
        while true {
            if repeated.readableBytes > 0 { return repeatSlice(at: now) }
            if let event = events.first, event.offset <= position {
                events.removeFirst()
                begin(event, at: now)
                return .fault(event)
            }
            guard let piece = held.first else {
                guard let ending else { return .wait(until: nil) }
                guard ending.due <= now else { return .wait(until: ending.due) }
                guard copied.readableBytes > 0 else { return .senderEnded(ending.kind) }
                beginRepeating()
                continue
            }
            guard piece.due <= now else { return .wait(until: piece.due) }
            guard swallowing > 0 else { return passSlice(of: piece, at: now) }
            _ = take(run(of: piece))
            if duplicating == 0, copied.readableBytes > 0 { beginRepeating() }
        }
    }

    private func nextInSilence(since start: MonotonicInstant, at now: MonotonicInstant) -> Step {
        guard let ending else { return .wait(until: nil) }
        let limit = max(start, ending.noticed).advanced(by: Self.silenceLimit)
        return limit <= now ? .abandoned : .wait(until: limit)
    }

    private mutating func begin(_ event: FaultEvent, at now: MonotonicInstant) {
        switch event.kind {
        case .pause(let time):
            pausedUntil = now.advanced(by: Self.inRange(time))
            ableSince = max(ableSince, pausedUntil)
        case .silence, .silenceBoth: silence(at: now)
        case .swallow(let count): swallowing = max(swallowing, count)
        case .duplicate(let count): duplicating = max(duplicating, count)
        case .corrupt(let count): corrupting = max(corrupting, count)
        case .cut, .halfClose: break
        }
    }

    /// How many bytes of a piece are treated alike.
    private func run(of piece: Piece) -> Int {
        var count = piece.bytes.readableBytes
        if let event = events.first { count = min(count, event.offset - position) }
        for left in [swallowing, corrupting, duplicating] where left > 0 { count = min(count, left) }
        return duplicating > 0 ? min(count, Self.blockLimit - copied.readableBytes) : count
    }

    private mutating func passSlice(of piece: Piece, at now: MonotonicInstant) -> Step {
        let count = departure?.count ?? min(run(of: piece), sliceLimit)
        if let later = sendOverLine(count, readySince: piece.due, at: now) { return .wait(until: later) }
        let isCorrupted = corrupting > 0
        let isDuplicated = duplicating > 0
        var bytes = take(count)
        if isCorrupted { bytes = ByteBuffer(bytes: bytes.readableBytesView.map { ~$0 }) }
        if isDuplicated {
            copied.writeImmutableBuffer(bytes)
            if duplicating == 0 || copied.readableBytes >= Self.blockLimit { beginRepeating() }
        }
        isWriting = true
        return .write(bytes)
    }

    private mutating func repeatSlice(at now: MonotonicInstant) -> Step {
        let count = departure?.count ?? min(repeated.readableBytes, sliceLimit)
        if let later = sendOverLine(count, readySince: ableSince, at: now) { return .wait(until: later) }
        guard let bytes = repeated.readSlice(length: count) else { return .wait(until: nil) }
        isWriting = true
        return .write(bytes)
    }

    private mutating func beginRepeating() {
        repeated = copied
        copied = ByteBuffer()
    }

    /// Takes so many bytes of the first piece, which has them, and counts them.
    private mutating func take(_ count: Int) -> ByteBuffer {
        let taken = held[held.startIndex].bytes.readSlice(length: count) ?? ByteBuffer()
        if held[held.startIndex].bytes.readableBytes == 0 { held.removeFirst() }
        heldBytes -= count
        position += count
        swallowing = max(0, swallowing - count)
        corrupting = max(0, corrupting - count)
        duplicating = max(0, duplicating - count)
        return taken
    }

    /// Sends so many bytes over a line of the lane's rate.
    ///
    /// - Returns: when they will have gone over it; nil if they have.
    private mutating func sendOverLine(
        _ count: Int, readySince: MonotonicInstant, at now: MonotonicInstant
    ) -> MonotonicInstant? {
        guard let rate else { return nil }
        let onTheLine = Duration.nanoseconds(Int64(count) * 1_000_000_000 / Int64(rate))
        let leaving =
            departure
            ?? Departure(count: count, at: max(freeAt, ableSince, readySince).advanced(by: onTheLine))
        guard leaving.at <= now else {
            departure = leaving
            return leaving.at
        }
        departure = nil
        freeAt = leaving.at
        return nil
    }
}
