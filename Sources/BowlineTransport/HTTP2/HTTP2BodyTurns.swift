internal import NIOCore

/// Decides which stream's body is written next, and how much of it. Streams with something to send take turns.
///
/// An output is the bytes that one write gives the channel. It is full when a frame reaches its limit. That frame is
/// still written whole, so an output may exceed the limit by a part of a frame. If only one stream is queued, it may
/// fill the output. If several streams are queued, each writes one frame per turn.
///
/// | event | at rest | in the queue |
/// |---|---|---|
/// | `add` | in the queue, last | – |
/// | `next`, at the front | – | at rest, until it is added again |
/// | `removeAll` | – | at rest |
struct HTTP2BodyTurns<Sender: HTTP2BodySender> {
    /// The largest output, even if the channel accepts more. It bounds how long a stream waits for the output of
    /// another stream.
    private static var largestOutput: Int { 131_072 }
    /// The payload of one DATA frame.
    private static var frameSize: Int { 16_384 }

    /// How many bytes of heads and bodies one output carries. If a turn of the loop sends more, the rest goes out in
    /// the next turn.
    private let outputLimit: Int
    private var queue = CircularBuffer<Sender>(initialCapacity: 2)
    /// The stream whose body was written last. 0: none.
    private(set) var lastSender = 0

    /// - Parameter channelLimit: How many bytes the channel accepts before it is not writable any more.
    init(channelLimit: Int) {
        outputLimit = min(channelLimit, Self.largestOutput)
    }

    var isEmpty: Bool { queue.isEmpty }

    /// Whether another head, or more of a body, may be added to an output of `outputByteCount` bytes.
    func hasRoom(in outputByteCount: Int) -> Bool { outputByteCount < outputLimit }

    /// Adds a sender that has something to send at the end of the queue.
    mutating func add(_ sender: Sender) {
        guard !sender.isQueued else { return }
        sender.isQueued = true
        queue.append(sender)
    }

    /// Removes the first sender. Returns it, and how many bytes of its body it may add to an output of
    /// `outputByteCount` bytes. nil: the queue is empty, or the output is full.
    mutating func next(outputByteCount: Int) -> (sender: Sender, limit: Int)? {
        guard hasRoom(in: outputByteCount), let sender = queue.popFirst() else { return nil }
        sender.isQueued = false
        guard queue.isEmpty else { return (sender, Self.frameSize) }
        let frames = (outputLimit - outputByteCount + Self.frameSize - 1) / Self.frameSize
        return (sender, frames * Self.frameSize)
    }

    /// Records that a piece of a body was written on the stream.
    mutating func wrote(on stream: Int) {
        lastSender = stream
    }

    mutating func removeAll() {
        while let sender = queue.popFirst() { sender.isQueued = false }
    }
}

/// A stream that takes turns.
protocol HTTP2BodySender: AnyObject {
    /// Whether the stream is in the queue. Only the queue changes it.
    var isQueued: Bool { get set }
}
