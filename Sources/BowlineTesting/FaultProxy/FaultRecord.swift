/// A line of a proxy's log: an action, its connection, its direction, and how many bytes had passed.
public struct FaultRecord: Sendable, Hashable, CustomStringConvertible {
    /// The number of the connection, from 0.
    public let connection: Int
    /// The direction of the action; nil: the connection as a whole.
    public let direction: FaultDirection?
    /// How many bytes of the direction's sender the proxy had taken; 0 without a direction.
    public let offset: Int
    /// The action, in words: `cut (reset)`, `connected`, `end of stream`. Or what the direction's lane does to all bytes:
    /// `latency 0.05 seconds, slices of 10 bytes`.
    public let what: String
    /// The fault that an event or a call of the proxy's methods caused; nil for actions of the peers.
    public let kind: FaultEvent.Kind?

    init(_ connection: Int, _ direction: FaultDirection?, _ offset: Int, _ what: String, kind: FaultEvent.Kind? = nil) {
        self.connection = connection
        self.direction = direction
        self.offset = offset
        self.what = what
        self.kind = kind
    }

    public var description: String {
        switch direction {
        case .toServer: "connection \(connection), to the server, byte \(offset): \(what)"
        case .toClient: "connection \(connection), to the client, byte \(offset): \(what)"
        case nil: "connection \(connection): \(what)"
        }
    }
}

extension FaultLane {
    /// The text for a line of the log: what the lane does to all bytes; nil: nothing.
    var text: String? {
        var parts: [String] = []
        if latency > .zero { parts.append("latency \(latency)") }
        if jitter > .zero { parts.append("jitter \(jitter)") }
        if let sliceBytes {
            parts.append("slices of \(sliceBytes) bytes" + (sliceGap > .zero ? " with gaps of \(sliceGap)" : ""))
        }
        if let bytesPerSecond { parts.append("\(bytesPerSecond) bytes per second") }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }
}

extension FaultCut {
    /// The text for a line of the log.
    var text: String {
        switch self {
        case .fin: "fin"
        case .reset: "reset"
        }
    }
}

extension FaultEvent.Kind {
    /// The text for a line of the log.
    var text: String {
        switch self {
        case .cut(let how): "cut (\(how.text))"
        case .halfClose: "half-close"
        case .pause(let time): "pause of \(time)"
        case .silence: "silence"
        case .silenceBoth: "silence, both directions"
        case .swallow(let count): "swallow \(count)"
        case .duplicate(let count): "duplicate \(count)"
        case .corrupt(let count): "corrupt \(count)"
        }
    }
}
