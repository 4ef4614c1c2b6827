extension ServiceResponse: CustomStringConvertible, CustomReflectable {
    /// Status, protocol, connection and attempts. Contains no field and no body, because they may be secret.
    public var description: String {
        // The reason phrase is left out: it is the peer's text, and the code is enough.
        var text = "\(status.code)"
        if let connection = facts.connection {
            text += " over \(connection.protocolVersion.rawValue), connection \(connection.id)"
            text += connection.isReused ? " (reused)" : " (new)"
        }
        if let length = body.announcedLength { text += ", \(length) bytes" }
        if facts.attempts > 1 { text += ", \(facts.attempts) attempts" }
        if facts.resends > 0 { text += ", \(facts.resends) resends" }
        if !facts.redirects.isEmpty { text += ", \(facts.redirects.count) redirects" }
        if facts.requestsSent > facts.attempts + facts.resends { text += ", \(facts.requestsSent) requests sent" }
        return text
    }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
