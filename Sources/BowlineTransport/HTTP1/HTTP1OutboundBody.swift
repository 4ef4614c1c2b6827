/// The body of a request that is being written: the writer that waits, and how many bytes of the body wait or were
/// reported as sent.
///
/// The channel accepts more while at most `connection.writeBufferLimit` bytes wait in it. They wait until the kernel
/// *accepts* them: it copies them into the send buffer of the socket.
///
/// | state | writer waits | channel accepts more | stopped |
/// |---|---|---|---|
/// | open | waiting | – | stopped |
/// | waiting | – | open; the writer goes on | stopped; the writer fails |
/// | stopped | – | – | – |
///
/// The type stores a writer without interpreting it, and returns it once.
struct HTTP1OutboundBody<Writer> {
    /// The largest size of a small write. While a small write waits, it costs more memory than it has bytes.
    static var smallWrite: Int { 1024 }
    /// After this many small writes, the body waits until the kernel has accepted them.
    static var maximumSmallWrites: Int { 256 }

    private var writer: Writer?
    /// Whether no more of the body is written.
    private(set) var isStopped = false
    /// How many bytes waited in the channel at the last ``mark(unsent:)`` or ``observed(unsent:)``.
    private var unsentBytes = 0
    /// Bytes that the channel got after the last report.
    private var unreportedBytes = 0
    /// Bytes that were reported as sent.
    private var reportedBytes = 0
    /// Small writes since the last write that the kernel had to accept before the next one.
    private var smallWrites = 0

    /// Whether a writer waits until the channel accepts more.
    var hasWriter: Bool { writer != nil }

    /// Records that the channel gets `count` bytes of the body. The next report includes them.
    mutating func passedToChannel(_ count: Int) {
        unreportedBytes = count
    }

    enum Confirmation {
        case notNeeded
        /// The kernel must accept this write before the next one, because many small writes may be waiting.
        case needed
    }

    /// Counts a chunk that is about to be written. Returns whether the kernel must accept it before the next chunk is
    /// written.
    mutating func beginWrite(_ count: Int) -> Confirmation {
        guard count <= Self.smallWrite else { return .notNeeded }
        smallWrites += 1
        guard smallWrites >= Self.maximumSmallWrites else { return .notNeeded }
        smallWrites = 0
        return .needed
    }

    /// Stores a writer, which waits until the channel accepts more.
    mutating func storeWriter(_ writer: Writer) {
        self.writer = writer
    }

    /// Records that the channel accepts more. Returns the writer to resume.
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

    /// Records that `unsent` bytes wait in the channel now. Returns whether the kernel has accepted some since the
    /// number was last recorded.
    mutating func observed(unsent: Int) -> Bool {
        defer { unsentBytes = unsent }
        return unsent < unsentBytes
    }

    /// Returns how many bytes of the body to report as sent; nil: as many as at the last report.
    ///
    /// Call it when the channel accepts more: at most `connection.writeBufferLimit` of these bytes still wait in the
    /// channel.
    mutating func report() -> Int? {
        guard unreportedBytes > 0 else { return nil }
        reportedBytes += unreportedBytes
        unreportedBytes = 0
        return reportedBytes
    }
}
