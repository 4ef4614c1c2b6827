/// The body of a request that is being written: the writer that waits, and what of the body the network has taken.
///
/// | state | writer waits | network took it | stopped |
/// |---|---|---|---|
/// | open | waiting | – | stopped |
/// | waiting | – | open; the writer goes on | stopped; the writer fails |
/// | stopped | – | – | – |
///
/// A writer is stored and given back once, without being looked at.
struct HTTP1OutboundBody<Writer> {
    /// Writes up to this size cost more memory than they have bytes, as long as they wait.
    static var smallWrite: Int { 1024 }
    /// How many of them are written before the network must have taken them.
    static var maximumSmallWrites: Int { 256 }

    private var writer: Writer?
    /// No more of it is written.
    private(set) var isStopped = false
    /// How many bytes the network had still to take when that was last noted.
    private var unsentBytes = 0
    /// Bytes that were given to the network, and that it has yet to take.
    private var unreportedBytes = 0
    /// Bytes that the network has taken.
    private var reportedBytes = 0
    /// Small writes since the network was last asked whether it has taken them.
    private var smallWrites = 0

    /// A writer waits for the network.
    var hasWriter: Bool { writer != nil }

    /// Bytes of the body are given to the network, all that were given before having been taken.
    mutating func gave(_ count: Int) {
        unreportedBytes = count
    }

    enum Confirmation {
        case notNeeded
        /// The network has to take the write before there is another: so many small ones may be waiting.
        case needed
    }

    /// Counts a chunk that is about to be written.
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

    /// The network takes more. Returns the writer that goes on.
    mutating func resumed() -> Writer? { writer.take() }

    /// No more is to be written. Returns the writer that waits in vain.
    mutating func stop() -> Writer? {
        isStopped = true
        return writer.take()
    }

    /// So many bytes lie in the channel now: what ``moved(unsent:)`` compares with.
    mutating func noted(unsent: Int) {
        unsentBytes = unsent
    }

    /// So many bytes lie in the channel now. Returns whether the network has taken any since that was last noted.
    mutating func moved(unsent: Int) -> Bool {
        defer { unsentBytes = unsent }
        return unsent < unsentBytes
    }

    /// The network has taken what it was given. Returns how many bytes it has taken in all, if there is something new.
    mutating func taken() -> Int? {
        guard unreportedBytes > 0 else { return nil }
        reportedBytes += unreportedBytes
        unreportedBytes = 0
        return reportedBytes
    }
}
