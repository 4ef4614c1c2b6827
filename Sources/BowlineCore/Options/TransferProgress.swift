/// How much of a body has been transferred.
public struct TransferProgress: Sendable, Hashable {
    /// Bytes so far.
    public let bytes: Int
    /// Bytes in all, if known.
    public let total: Int?

    /// Makes one.
    public init(bytes: Int, total: Int?) {
        self.bytes = bytes
        self.total = total
    }

    /// The share that is done, 0 to 1, if the whole is known.
    public var fraction: Double? {
        guard let total else { return nil }
        return total == 0 ? 1 : min(1, Double(bytes) / Double(total))
    }
}
