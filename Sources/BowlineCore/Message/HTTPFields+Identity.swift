package import HTTPTypes

extension HTTPFields {
    /// Whether both share their storage: then they are equal, which this finds without a look at the fields. False says nothing.
    package func isTriviallyIdentical(to other: HTTPFields) -> Bool {
        // Two values of the same bits, both alive, are the same value.
        withUnsafeBytes(of: self) { own in
            withUnsafeBytes(of: other) { other in
                // One reference; if the library ever keeps more, nothing is identical.
                own.count == MemoryLayout<UInt>.size && own.load(as: UInt.self) == other.load(as: UInt.self)
            }
        }
    }
}
