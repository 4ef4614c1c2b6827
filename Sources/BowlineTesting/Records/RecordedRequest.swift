public import BowlineCore
public import NIOCore

/// A request as a server received it.
public struct RecordedRequest: Sendable {
    /// The method.
    public let method: HTTPRequest.Method
    /// The target as it stood in the request line.
    public let target: String
    /// The header fields in the order in which they came.
    public let fields: HTTPFields
    /// The whole head as it came, from the method to the empty line, for tests of exact bytes. Over HTTP/2 a line for each
    /// field, pseudo-header fields included.
    public let head: String
    /// The first bytes of the body, up to the server's `recordedBodyLimit`; empty until they have been read.
    public internal(set) var body = ByteBuffer()
    /// How many bytes of the body have come, those beyond the limit included.
    public internal(set) var bodyLength = 0
    /// The trailer fields; nil if there were none.
    public internal(set) var trailers: HTTPFields?
    /// The server's number of the connection, from 1.
    public let connection: Int
    /// The number of the request on its connection, from 1.
    public let number: Int
    /// The number of its stream; nil over HTTP/1.1.
    public let stream: Int?
    /// Whether the whole request has come. One that stays incomplete was given up by the client.
    public internal(set) var isComplete = false
    /// Whether the client reset the request's stream (HTTP/2).
    public internal(set) var wasReset = false

    /// How the end of the body is told.
    enum Framing: Sendable, Hashable {
        case length(Int)
        case chunked
    }

    let framing: Framing
    /// Where it stands among all requests of the server.
    let position: Int

    /// The target without its query.
    public var path: String {
        String(target.prefix { $0 != "?" })
    }

    /// The body as text, with replacement characters where it is not UTF-8.
    public var bodyText: String {
        String(buffer: body)
    }

    /// The value of a field; nil if it is absent.
    public subscript(_ name: HTTPField.Name) -> String? {
        fields[name]
    }

    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    public var expectsContinue: Bool {
        fields[.expect]?.lowercased() == "100-continue"
    }
}
