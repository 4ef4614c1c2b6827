internal import BowlineCore

/// Counts the frames of a peer that cost us work or memory and carry no response (RFC 9113 §10.5).
///
/// Each function that throws does so when a bound of ``HTTP2SessionOptions`` is exceeded.
struct HTTP2FloodCounters: Sendable {
    /// The WINDOW_UPDATE frames that one DATA frame explains, and one opened stream: one for the stream, one for the
    /// connection.
    private static let updatesPerFrame = 2
    /// Servers that give the window back as their reader takes bytes may do so in pieces this small: for each 256 bytes
    /// one update of the stream and one of the connection.
    private static let bytesPerUpdate = 128
    /// The size of a DATA frame, where there are many.
    private static let bytesPerPing = 16_384
    /// How many updates, and how many PINGs, can be explained ahead.
    private static let maximumCredit = 262_144
    /// The field sections that a reset explains: a server that does not know of it yet sends informational responses, a
    /// head and trailers.
    private static let sectionsPerReset = 8

    private let maximumEmptyData: Int
    private let maximumPendingReplies: Int
    private var controlFrames: HTTP2FloodMeter
    private var resets: HTTP2FloodMeter
    private var emptyData = 0
    /// Whether an earlier piece of the DATA frame that is arriving had bytes.
    private var hasFrameBytes = false
    private var pendingReplies = 0
    /// How many WINDOW_UPDATE frames what we have sent explains.
    private var updateCredit = 0
    /// How many dropped field sections our resets explain.
    private var sectionCredit = 0
    /// How many PINGs the DATA frames that we have sent explain: a server that measures the path sends one when DATA comes and
    /// none is on its way. Over a fast path that is thousands in a second.
    private var pingCredit = 0
    /// PINGs of ours that were not answered.
    private var unansweredPings = 0

    init(options: HTTP2SessionOptions) {
        maximumEmptyData = options.maximumEmptyData
        maximumPendingReplies = options.maximumPendingReplies
        controlFrames = HTTP2FloodMeter(limit: options.maximumControlFrames, "a flood of control frames")
        resets = HTTP2FloodMeter(limit: options.maximumResets, "a flood of RST_STREAM")
    }

    // MARK: What the peer sends

    mutating func controlFrame(now: MonotonicInstant) throws(HTTP2Violation) {
        try controlFrames.add(now: now)
    }

    /// A PING, whose answer ``reply()`` counts.
    mutating func ping(now: MonotonicInstant) throws(HTTP2Violation) {
        guard pingCredit == 0 else {
            pingCredit -= 1
            return
        }
        try controlFrames.add(now: now)
    }

    /// RST_STREAM for a stream that is not open. Those that are open explain one each.
    mutating func reset(now: MonotonicInstant) throws(HTTP2Violation) {
        try resets.add(now: now)
    }

    mutating func windowUpdate(now: MonotonicInstant) throws(HTTP2Violation) {
        guard updateCredit == 0 else {
            updateCredit -= 1
            return
        }
        try controlFrames.add(now: now)
    }

    /// The answer to a PING, which is a control frame where we have sent none.
    mutating func pong(now: MonotonicInstant) throws(HTTP2Violation) {
        guard unansweredPings == 0 else {
            unansweredPings -= 1
            return
        }
        try controlFrames.add(now: now)
    }

    /// A piece of a DATA frame.
    mutating func data(hasBytes: Bool, endsFrame: Bool, endsStream: Bool) throws(HTTP2Violation) {
        if hasBytes || endsStream { emptyData = 0 }
        guard endsFrame else {
            hasFrameBytes = hasFrameBytes || hasBytes
            return
        }
        let isEmpty = !hasBytes && !hasFrameBytes && !endsStream
        hasFrameBytes = false
        guard isEmpty else { return }
        emptyData += 1
        guard emptyData <= maximumEmptyData else {
            throw HTTP2Violation(.enhanceYourCalm, .connection, "a flood of empty DATA", rule: "RFC 9113 §10.5")
        }
    }

    /// A field section ends a row of empty DATA frames.
    mutating func fieldSection() {
        emptyData = 0
    }

    /// A field section has come on a stream that is gone: no window bounds how many.
    mutating func droppedSection(now: MonotonicInstant) throws(HTTP2Violation) {
        guard sectionCredit == 0 else {
            sectionCredit -= 1
            return
        }
        try controlFrames.add(now: now)
    }

    // MARK: What we send

    /// An answer to PING or SETTINGS is about to be written.
    mutating func reply() throws(HTTP2Violation) {
        pendingReplies += 1
        guard pendingReplies <= maximumPendingReplies else {
            throw HTTP2Violation(
                .enhanceYourCalm, .connection, "more PING and SETTINGS than their answers are read",
                rule: "RFC 9113 §10.5")
        }
    }

    mutating func outputTaken() {
        pendingReplies = 0
    }

    mutating func pingSent() {
        unansweredPings += 1
    }

    mutating func streamReset() {
        sectionCredit = min(sectionCredit + Self.sectionsPerReset, Self.maximumCredit)
    }

    mutating func streamOpened() {
        explainUpdates(Self.updatesPerFrame)
    }

    mutating func dataSent(_ count: Int) {
        explainUpdates(Self.updatesPerFrame + count / Self.bytesPerUpdate)
        pingCredit = min(pingCredit + 1 + count / Self.bytesPerPing, Self.maximumCredit)
    }

    private mutating func explainUpdates(_ count: Int) {
        updateCredit = min(updateCredit + count, Self.maximumCredit)
    }
}
