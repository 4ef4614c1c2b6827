extension RequestBody: CustomStringConvertible, CustomReflectable {
    /// The kind of body and its length. Contains none of the bytes, because they may be secret.
    public var description: String {
        let kind =
            switch kind {
            case .none: "none"
            case .bytes: "bytes"
            case .factory, .emptyFile: "replayable"
            case .stream: "stream"
            }
        return "RequestBody(\(kind), \(length.map { "\($0) bytes" } ?? "length unknown"))"
    }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
