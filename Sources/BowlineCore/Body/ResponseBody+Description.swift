extension ResponseBody: CustomStringConvertible, CustomReflectable {
    /// The announced length; no bytes of the body, because they may contain secrets.
    public var description: String {
        "ResponseBody(\(announcedLength.map { "\($0) bytes" } ?? "length unknown"))"
    }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
