package import HTTPTypes

extension HTTPFields {
    /// Whether both values share their storage. Then they are equal, and their fields need not be compared. If false,
    /// they may still be equal.
    package func isTriviallyIdentical(to other: HTTPFields) -> Bool {
        // Two living values with the same bits are the same value.
        withUnsafeBytes(of: self) { own in
            withUnsafeBytes(of: other) { other in
                // `HTTPFields` contains only one reference. If a later version of it is larger, the result is always
                // false.
                own.count == MemoryLayout<UInt>.size && own.load(as: UInt.self) == other.load(as: UInt.self)
            }
        }
    }
}
