public import BowlineCore
public import NIOCore

/// A response as a scripted server writes it. It is valid unless its fields make it invalid.
public struct ScriptedResponse: Sendable {
    /// How the response shows where its body ends.
    public enum Framing: Sendable, Hashable {
        /// `Content-Length`.
        case length
        /// `Transfer-Encoding: chunked`, in chunks of at most this many bytes, 1 or more.
        case chunks(of: Int)
        /// The end of the connection. A served connection is closed after the response.
        case untilClose
        /// Only the given fields. No framing field is added, and the body is sent unchanged.
        case manual

        /// `Transfer-Encoding: chunked` in chunks of 16 KiB.
        public static let chunked = Framing.chunks(of: 16384)
    }

    /// The status code, 100 to 999.
    public var status: Int
    /// The reason phrase; nil: the usual phrase of the status.
    public var reason: String?
    /// The header fields. They are sent in this order, before the fields that frame the body.
    public var fields: HTTPFields
    /// The body.
    public var body: ByteBuffer
    /// How the body is framed.
    public var framing: Framing
    /// The trailer fields. Over HTTP/1.1 they are sent only with chunks, over HTTP/2 with any framing except `.length`.
    public var trailers: HTTPFields
    /// The version in the status line. Default `HTTP/1.1`.
    public var version = "HTTP/1.1"

    /// Makes a response with a body of bytes.
    public init(
        _ status: Int = 200, fields: HTTPFields = [:], body: ByteBuffer, framing: Framing = .length,
        trailers: HTTPFields = [:]
    ) {
        self.status = status
        self.fields = fields
        self.body = body
        self.framing = framing
        self.trailers = trailers
    }

    /// Makes a response with a body of text.
    public init(
        _ status: Int = 200, fields: HTTPFields = [:], body: String = "", framing: Framing = .length,
        trailers: HTTPFields = [:]
    ) {
        self.init(status, fields: fields, body: ByteBuffer(string: body), framing: framing, trailers: trailers)
    }

    /// Returns the response in the form of HTTP/1.1.
    ///
    /// - Parameter method: The request's method. A response to HEAD has the fields that frame the body but not the body
    ///   (RFC 9110 §9.3.2). nil: not HEAD.
    public func bytes(answering method: HTTPRequest.Method? = nil) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.reserveCapacity(256 + body.readableBytes)
        bytes.writeString("\(version) \(status) \(reason ?? Self.usualReason(status))\r\n")
        for field in fields { bytes.writeString("\(field.name.rawName): \(field.value)\r\n") }
        if mayHaveBody {
            switch framing {
            case .length: bytes.writeString("Content-Length: \(body.readableBytes)\r\n")
            case .chunks: bytes.writeString("Transfer-Encoding: chunked\r\n")
            case .untilClose, .manual: break
            }
        }
        bytes.writeString("\r\n")
        if hasBody(answering: method) { writeBody(to: &bytes) }
        return bytes
    }

    /// Whether the response may have a body, if it does not answer HEAD.
    var mayHaveBody: Bool { framing == .manual || !Self.isBodiless(status) }

    func hasBody(answering method: HTTPRequest.Method?) -> Bool { mayHaveBody && method != .head }

    /// Whether the server closes the connection after the response.
    var endsConnection: Bool {
        framing == .untilClose
            || fields[values: .connection].contains { $0.lowercased().split(separator: ",").contains("close") }
    }

    private func writeBody(to bytes: inout ByteBuffer) {
        guard case .chunks(let size) = framing else {
            bytes.writeImmutableBuffer(body)
            return
        }
        var rest = body
        while rest.readableBytes > 0, var chunk = rest.readSlice(length: min(max(1, size), rest.readableBytes)) {
            bytes.writeString("\(String(chunk.readableBytes, radix: 16))\r\n")
            bytes.writeBuffer(&chunk)
            bytes.writeString("\r\n")
        }
        bytes.writeString("0\r\n")
        for field in trailers { bytes.writeString("\(field.name.rawName): \(field.value)\r\n") }
        bytes.writeString("\r\n")
    }

    private static func isBodiless(_ status: Int) -> Bool {
        status < 200 || status == 204 || status == 304
    }

    private static func usualReason(_ status: Int) -> String { reasons[status] ?? "" }

    private static let reasons: [Int: String] = [
        100: "Continue", 101: "Switching Protocols", 102: "Processing", 103: "Early Hints", 200: "OK", 201: "Created",
        202: "Accepted", 204: "No Content", 205: "Reset Content", 206: "Partial Content", 301: "Moved Permanently",
        302: "Found", 303: "See Other", 304: "Not Modified", 307: "Temporary Redirect", 308: "Permanent Redirect",
        400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
        408: "Request Timeout", 409: "Conflict", 410: "Gone", 412: "Precondition Failed", 413: "Content Too Large",
        417: "Expectation Failed", 421: "Misdirected Request", 422: "Unprocessable Content", 425: "Too Early",
        429: "Too Many Requests", 500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
        503: "Service Unavailable", 504: "Gateway Timeout",
    ]
}
