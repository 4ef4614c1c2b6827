/// An event of an event stream (`text/event-stream`, WHATWG HTML §9.2), as ``ResponseBody/serverSentEvents(maximum:)`` reads it.
public struct ServerSentEvent: Sendable, Hashable {
    /// The event's type; `message` if the stream does not name one.
    public var type: String
    /// The event's data: its lines, joined by LF.
    public var data: String
    /// The last event ID of the stream, from this event or an earlier event; empty if there was no ID. To continue the
    /// stream after this event, send this ID as `Last-Event-ID`.
    public var id: String
    /// How long to wait before you request the stream again. This is the value of the last `retry` field; nil: there
    /// was no such field.
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
    /// The size of the data. Contains no text of the peer, because such text may be secret.
    public var description: String { "ServerSentEvent(\(data.utf8.count) bytes)" }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}
