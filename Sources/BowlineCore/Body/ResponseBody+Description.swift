extension ResponseBody: CustomStringConvertible, CustomReflectable {
    /// The length that was announced; none of its bytes, because they may hold secrets.
    public var description: String {
        "ResponseBody(\(announcedLength.map { "\($0) bytes" } ?? "length unknown"))"
    }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
