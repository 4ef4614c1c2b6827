internal import NIOCore

/// Whose body is written next, and how much of it: streams with something to send take turns.
///
/// An output is what one write gives the channel. It ends with the frame that reaches its limit, so that no limit of ours cuts a
/// frame short. A stream that is alone has all of an output; of several each has one frame.
///
/// | event | at rest | in the queue |
/// |---|---|---|
/// | `add` | in the queue, last | – |
/// | `next`, at the front | – | at rest, until it is added again |
/// | `removeAll` | – | at rest |
struct HTTP2BodyTurns<Sender: HTTP2BodySender> {
    /// A channel that may hold more gets no more at once, so that no stream waits for longer outputs of another.
    private static var largestOutput: Int { 131_072 }
    /// The payload of one DATA frame.
    private static var frameSize: Int { 16_384 }

    /// What an output carries of bodies and heads; what a turn of the loop sends beyond it goes out in the next.
    private let outputLimit: Int
    private var queue = CircularBuffer<Sender>(initialCapacity: 2)
    /// The stream of whose body a piece was written last; 0: none was.
    private(set) var lastSender = 0

    /// - Parameter channelLimit: How many bytes may lie in the channel before it says that it is full.
    init(channelLimit: Int) {
        outputLimit = min(channelLimit, Self.largestOutput)
    }

    var isEmpty: Bool { queue.isEmpty }

    /// Whether another head, or more of a body, may be written to an output that has so many bytes.
    func hasRoom(in outputByteCount: Int) -> Bool { outputByteCount < outputLimit }

    /// The sender has something to send.
    mutating func add(_ sender: Sender) {
        guard !sender.isQueued else { return }
        sender.isQueued = true
        queue.append(sender)
    }

    /// The stream whose turn it is, and how many bytes of its body it may write to an output that has so many.
    mutating func next(outputByteCount: Int) -> (sender: Sender, limit: Int)? {
        guard hasRoom(in: outputByteCount), let sender = queue.popFirst() else { return nil }
        sender.isQueued = false
        guard queue.isEmpty else { return (sender, Self.frameSize) }
        let frames = (outputLimit - outputByteCount + Self.frameSize - 1) / Self.frameSize
        return (sender, frames * Self.frameSize)
    }

    /// A piece of a body was written on that stream.
    mutating func wrote(on stream: Int) {
        lastSender = stream
    }

    mutating func removeAll() {
        while let sender = queue.popFirst() { sender.isQueued = false }
    }
}

/// A stream that takes turns.
protocol HTTP2BodySender: AnyObject {
    /// Whether it is in the queue; the queue's own.
    var isQueued: Bool { get set }
}
