/// An event of an event stream (`text/event-stream`, WHATWG HTML §9.2), as ``ResponseBody/serverSentEvents(maximum:)`` reads it.
public struct ServerSentEvent: Sendable, Hashable {
    /// Its type; `message` where the stream names none.
    public var type: String
    /// Its data, the lines joined by LF.
    public var data: String
    /// The last event ID that the stream has named, with this event or before; empty if it has named none. A request that
    /// goes on from here says it as `Last-Event-ID`.
    public var id: String
    /// How long the stream wants to be waited for before it is asked again, as it last said; nil if it has not said.
    public var retry: Duration?

    /// Makes an event, for tests.
    public init(type: String = "message", data: String, id: String = "", retry: Duration? = nil) {
        self.type = type
        self.data = data
        self.id = id
        self.retry = retry
    }
}

extension ServerSentEvent: CustomStringConvertible, CustomReflectable {
    /// How much data it has; nothing that the peer wrote, because that may hold secrets.
    public var description: String { "ServerSentEvent(\(data.utf8.count) bytes)" }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
