/// The body of a request that is being written: the writer that waits, and how many bytes the network has taken.
///
/// | state | writer waits | network took it | stopped |
/// |---|---|---|---|
/// | open | waiting | – | stopped |
/// | waiting | – | open; the writer goes on | stopped; the writer fails |
/// | stopped | – | – | – |
///
/// The type stores a writer without interpreting it, and returns it once.
struct HTTP1OutboundBody<Writer> {
    /// The largest size of a small write. While a small write waits, it costs more memory than it has bytes.
    static var smallWrite: Int { 1024 }
    /// After this many small writes, the body waits until the network has taken them.
    static var maximumSmallWrites: Int { 256 }

    private var writer: Writer?
    /// Whether no more of the body is written.
    private(set) var isStopped = false
    /// How many bytes the network had yet to take at the last ``mark(unsent:)`` or ``observed(unsent:)``.
    private var unsentBytes = 0
    /// Bytes that were given to the network and that it has yet to take.
    private var unreportedBytes = 0
    /// Bytes that the network has taken.
    private var reportedBytes = 0
    /// Small writes since the network was last asked whether it has taken them.
    private var smallWrites = 0

    /// Whether a writer waits for the network.
    var hasWriter: Bool { writer != nil }

    /// Records that the channel gets `count` bytes of the body. The network must have taken all bytes that the channel
    /// got before.
    mutating func passedToChannel(_ count: Int) {
        unreportedBytes = count
    }

    enum Confirmation {
        case notNeeded
        /// The network must take this write before the next one, because many small writes may be waiting.
        case needed
    }

    /// Counts a chunk that is about to be written. Returns whether the network must confirm it.
    mutating func beginWrite(_ count: Int) -> Confirmation {
        guard count <= Self.smallWrite else { return .notNeeded }
        smallWrites += 1
        guard smallWrites >= Self.maximumSmallWrites else { return .notNeeded }
        smallWrites = 0
        return .needed
    }

    /// Stores the writer of a chunk that the network does not take yet.
    mutating func storeWriter(_ writer: Writer) {
        self.writer = writer
    }

    /// The network takes more. Returns the writer to resume.
    mutating func resumed() -> Writer? { writer.take() }

    /// Stops the body. Returns the waiting writer, which must fail.
    mutating func stop() -> Writer? {
        isStopped = true
        return writer.take()
    }

    /// Records how many bytes wait in the channel now. ``observed(unsent:)`` compares with this number.
    mutating func mark(unsent: Int) {
        unsentBytes = unsent
    }

    /// Records that `unsent` bytes wait in the channel now. Returns whether the network has taken some since the number
    /// was last recorded.
    mutating func observed(unsent: Int) -> Bool {
        defer { unsentBytes = unsent }
        return unsent < unsentBytes
    }

    /// Records that the network has taken all that the channel got. Returns how many bytes it has taken in total; nil:
    /// there is nothing new.
    mutating func networkTookAll() -> Int? {
        guard unreportedBytes > 0 else { return nil }
        reportedBytes += unreportedBytes
        unreportedBytes = 0
        return reportedBytes
    }
}
