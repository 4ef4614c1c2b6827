internal import BowlineCore

/// Counts the frames of a peer that cost us work or memory and carry no response (RFC 9113 §10.5).
///
/// Each throwing function throws when a limit of ``HTTP2SessionOptions`` is exceeded. A frame does not count if our own
/// frames *explain* it: they give a well-behaved peer a reason to send it.
struct HTTP2FloodCounters: Sendable {
    /// How many WINDOW_UPDATE frames of the peer do not count after one of our DATA frames, or after we open a stream:
    /// one for the stream and one for the connection.
    private static let updatesPerFrame = 2
    /// The number of sent bytes that explains one more WINDOW_UPDATE. Some servers send WINDOW_UPDATE after every 256
    /// bytes, one for the stream and one for the connection.
    private static let bytesPerUpdate = 128
    /// The number of sent bytes that explains one more PING, in addition to one PING for each send. It is the usual
    /// size of DATA frames in a large upload.
    private static let bytesPerPing = 16_384
    /// The highest number of updates, of PINGs and of field sections that can be explained in advance.
    private static let maximumCredit = 262_144
    /// The highest number of RST_STREAM frames that can be explained in advance.
    private static let maximumResetCredit = 4_096
    /// How many field sections one reset explains: a server that does not know of the reset yet sends informational
    /// responses, a head and trailers.
    private static let sectionsPerReset = 8

    private let maximumEmptyData: Int
    private let maximumPendingReplies: Int
    private var controlFrames: HTTP2FloodMeter
    private var resets: HTTP2FloodMeter
    private var emptyData = 0
    /// Whether an earlier piece of the DATA frame that is arriving had bytes.
    private var hasFrameBytes = false
    private var pendingReplies = 0
    /// How many more WINDOW_UPDATE frames our sent frames explain.
    private var updateCredit = 0
    /// How many more RST_STREAM frames our streams explain.
    private var resetCredit = 0
    /// How many more dropped field sections our resets explain.
    private var sectionCredit = 0
    /// How many more PINGs our DATA frames explain. A server that measures the path sends a PING when DATA arrives and
    /// no PING is on its way. Over a fast path, that can be thousands of PINGs in a second.
    private var pingCredit = 0
    /// How many of our PINGs were not answered yet.
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

    /// Counts a PING. ``countReply()`` counts its answer.
    mutating func ping(now: MonotonicInstant) throws(HTTP2Violation) {
        guard pingCredit == 0 else {
            pingCredit -= 1
            return
        }
        try controlFrames.add(now: now)
    }

    /// Counts RST_STREAM for a stream that is not open. Each stream explains one RST_STREAM, also after its end: a server
    /// that has answered without reading the whole request sends one after its response (RFC 9113 §8.1).
    mutating func peerReset(now: MonotonicInstant) throws(HTTP2Violation) {
        guard resetCredit == 0 else {
            resetCredit -= 1
            return
        }
        try resets.add(now: now)
    }

    /// Records RST_STREAM for an open stream, which explains it.
    mutating func peerResetOpenStream() {
        resetCredit = max(0, resetCredit - 1)
    }

    mutating func windowUpdate(now: MonotonicInstant) throws(HTTP2Violation) {
        guard updateCredit == 0 else {
            updateCredit -= 1
            return
        }
        try controlFrames.add(now: now)
    }

    /// Counts an answer to a PING. If no PING of ours waits for an answer, the frame counts as a control frame.
    mutating func pong(now: MonotonicInstant) throws(HTTP2Violation) {
        guard unansweredPings == 0 else {
            unansweredPings -= 1
            return
        }
        try controlFrames.add(now: now)
    }

    /// Counts a piece of a DATA frame.
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

    /// Counts a field section, which ends a row of empty DATA frames.
    mutating func fieldSection() {
        emptyData = 0
    }

    /// Counts a field section on a stream that is not open: no window limits the number of such sections.
    mutating func droppedSection(now: MonotonicInstant) throws(HTTP2Violation) {
        guard sectionCredit == 0 else {
            sectionCredit -= 1
            return
        }
        try controlFrames.add(now: now)
    }

    // MARK: What we send

    /// Counts an answer to PING or SETTINGS before it is written.
    mutating func countReply() throws(HTTP2Violation) {
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
        resetCredit = min(resetCredit + 1, Self.maximumResetCredit)
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
