/// A line of a proxy's log: what it did to which connection, in which direction and after how many bytes.
public struct FaultRecord: Sendable, Hashable, CustomStringConvertible {
    /// The number of the connection, from 0.
    public let connection: Int
    /// The direction that it concerns; nil: the connection as a whole.
    public let direction: FaultDirection?
    /// How many bytes of the direction's sender had been taken; 0 without a direction.
    public let offset: Int
    /// What was done, in words: `cut (reset)`, `connected`, `end of stream`.
    public let what: String
    /// The fault, if it is one that an event or a call of the proxy's made; nil for what the peers did.
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

extension FaultCut {
    /// As a log line has it.
    var text: String {
        switch self {
        case .fin: "fin"
        case .reset: "reset"
        }
    }
}

extension FaultEvent.Kind {
    /// As a log line has it.
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
