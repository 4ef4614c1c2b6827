public import BowlineCore
public import NIOCore

/// A request that a server has received.
public struct RecordedRequest: Sendable {
    /// The method.
    public let method: HTTPRequest.Method
    /// The target in the request line; over HTTP/2, the value of `:path`.
    public let target: String
    /// The header fields in the order of their arrival.
    public let fields: HTTPFields
    /// The whole head as it was received, from the method to the empty line, for tests of exact bytes. Over HTTP/2, one
    /// line for each field, including pseudo-header fields.
    public let head: String
    /// The first bytes of the body, up to the server's `recordedBodyLimit`; empty until the server has read them.
    public internal(set) var body = ByteBuffer()
    /// How many bytes of the body have been received, including those beyond the limit.
    public internal(set) var bodyLength = 0
    /// The trailer fields; nil if there are none.
    public internal(set) var trailers: HTTPFields?
    /// The connection's number on the server, from 1.
    public let connection: Int
    /// The request's number on its connection, from 1.
    public let number: Int
    /// The number of the request's stream; nil over HTTP/1.1.
    public let stream: Int?
    /// Whether the whole request has been received. Stays false if the stream or the connection ends before that.
    public internal(set) var isComplete = false
    /// Whether the client reset the request's stream (HTTP/2).
    public internal(set) var wasReset = false

    /// How the head shows where the body ends.
    enum Framing: Sendable, Hashable {
        case length(Int)
        case chunked
    }

    let framing: Framing
    /// The request's index among all requests of the server.
    let position: Int

    /// The target without its query.
    public var path: String {
        String(target.prefix { $0 != "?" })
    }

    /// The body as text. Bytes that are not UTF-8 are replaced by replacement characters.
    public var bodyText: String {
        String(buffer: body)
    }

    /// Returns the value of a field; nil if it is absent.
    public subscript(_ name: HTTPField.Name) -> String? {
        fields[name]
    }

    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    public var expectsContinue: Bool {
        fields[.expect]?.lowercased() == "100-continue"
    }
}
