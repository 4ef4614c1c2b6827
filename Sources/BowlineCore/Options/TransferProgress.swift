/// How much of a body has been transferred.
public struct TransferProgress: Sendable, Hashable {
    /// How many bytes have been transferred so far.
    public let bytes: Int
    /// How many bytes the whole body has; nil: not known.
    public let total: Int?

    /// Makes a progress value.
    public init(bytes: Int, total: Int?) {
        self.bytes = bytes
        self.total = total
    }

    /// The share of the body that has been transferred, 0 to 1; nil: the total is not known.
    public var fraction: Double? {
        guard let total else { return nil }
        return total == 0 ? 1 : min(1, Double(bytes) / Double(total))
    }
}
