internal import BowlineCore
internal import NIOCore

/// Decides what happens to the bytes of one direction, and when.
///
/// ``received(_:at:jitter:)`` adds bytes, which are kept in order. ``next(at:)`` returns the next step: write bytes and
/// report ``wrote(at:)``, record a fault, pass on the sender's end, or wait. Only one write is under way at a time. So
/// an event at offset n happens when the receiver's kernel has accepted n bytes, and a receiver that does not read
/// stops the sender.
struct FaultLaneMachine {
    /// How the sender ended.
    enum SenderEnd: Sendable, Equatable {
        /// FIN.
        case finished
        /// RST, or the socket failed.
        case reset
    }

    /// The next step of the direction.
    enum Step {
        /// Write these bytes to the receiver, then report `wrote` when the receiver has taken them.
        case write(ByteBuffer)
        /// This event happens. The connection performs cuts, half-closes and effects on the other direction.
        case fault(FaultEvent)
        /// All bytes of the sender have passed. Pass on the sender's end.
        case senderEnded(SenderEnd)
        /// The sender ended `silenceLimit` ago, and the direction is still silent.
        case abandoned
        /// Do nothing until this instant or the next fact, whichever is first.
        case wait(until: MonotonicInstant?)
    }

    /// How long a silent direction stays open after its sender has ended.
    static let silenceLimit = Duration.seconds(30)
    /// How many bytes a direction keeps before reading stops.
    private static let heldLimit = 1 << 16
    /// The same limit for a direction with latency or jitter, which also keeps the delayed bytes.
    private static let delayedLimit = 1 << 20
    private static let pieceLimit = 256
    /// The maximum size of a write, and of a block of duplicated bytes.
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
    /// The bytes that have passed once and are to be duplicated.
    private var copied = ByteBuffer()
    /// The bytes to pass a second time, before any other bytes.
    private var repeated = ByteBuffer()

    private var isWriting = false
    private var pausedUntil = Self.always
    private var restsUntil = Self.always
    private var silentSince: MonotonicInstant?

    /// When the bytes so far have passed at the lane's rate.
    private var freeAt = Self.always
    /// Since when only the rate delays bytes.
    private var ableSince = Self.always
    private var departure: Departure?

    /// Whether the direction has ended: its end has been passed on, or the receiver is gone. Further bytes are dropped.
    private(set) var isOver = false

    init(_ lane: FaultLane) {
        latency = Self.inRange(lane.latency)
        jitter = Self.inRange(lane.jitter)
        rate = lane.bytesPerSecond.map { max(1, $0) }
        sliceGap = lane.sliceBytes == nil ? .zero : Self.inRange(lane.sliceGap)
        // With a rate, a slice has at most the bytes of 20 ms.
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

    /// Whether the driver should read more bytes of the sender.
    func wantsBytes(at now: MonotonicInstant) -> Bool {
        guard !isOver, ending == nil, !isSilent, pausedUntil <= now, held.count < Self.pieceLimit else { return false }
        return heldBytes < (latency + jitter > .zero ? Self.delayedLimit : Self.heldLimit)
    }

    /// - Parameter fraction: The fraction of the lane's jitter that this piece gets, from 0 to 1.
    mutating func received(_ bytes: ByteBuffer, at now: MonotonicInstant, jitter fraction: Double) {
        guard !isOver, ending == nil, bytes.readableBytes > 0 else { return }
        let drawn = Duration.nanoseconds(Int64(Double(jitter.saturatingNanoseconds) * min(max(0, fraction), 1)))
        lastDue = max(lastDue, now.advanced(by: latency + drawn))
        held.append(Piece(bytes: bytes, due: lastDue))
        heldBytes += bytes.readableBytes
    }

    /// Notes the sender's end. A reset replaces a FIN that has not been passed on yet.
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

    /// Ends the direction. Nothing passes any more.
    mutating func stop() {
        isOver = true
        held.removeAll()
        heldBytes = 0
        copied = ByteBuffer()
        repeated = ByteBuffer()
    }

    /// Returns the next step. Call it again after each step except `wait`.
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

    /// Returns the length of the piece's first bytes that are all treated in the same way.
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

    /// Takes and counts the first `count` bytes of the first piece, which has at least as many.
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

    /// Schedules `count` bytes at the lane's rate.
    ///
    /// - Returns: the instant at which the bytes may pass; nil: now.
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
