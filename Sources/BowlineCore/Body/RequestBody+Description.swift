extension RequestBody: CustomStringConvertible, CustomReflectable {
    /// What kind of body it is and how long; none of its bytes, because they may hold secrets.
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
