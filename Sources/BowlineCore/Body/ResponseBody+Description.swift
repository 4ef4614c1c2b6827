extension ResponseBody: CustomStringConvertible, CustomReflectable {
    /// The announced length. Contains no bytes of the body, because they may be secret.
    public var description: String {
        "ResponseBody(\(announcedLength.map { "\($0) bytes" } ?? "length unknown"))"
    }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
