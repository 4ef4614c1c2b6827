public import BowlineCore
public import NIOCore

/// A request that a ``StubTransport`` has received, with its body.
public struct StubbedCall: Sendable {
    /// The request.
    public let request: ServiceRequest
    /// The request's context, such as its deadline and attempt.
    public let context: RequestContext
    /// The body's bytes; empty if the stub did not read the body, or reading it failed.
    public internal(set) var body = ByteBuffer()
    /// The trailer fields; nil if there are none.
    public internal(set) var trailers: HTTPFields?
    /// The path of the URL, percent-encoded.
    public let path: String
    /// The query of the URL; nil if there is none.
    public let query: String?

    /// The method.
    public var method: HTTPRequest.Method { request.method }
    /// The header fields.
    public var fields: HTTPFields { request.fields }
    /// The body as text. Bytes that are not UTF-8 are replaced by replacement characters.
    public var bodyText: String { String(buffer: body) }
    /// Which attempt it was, from 1.
    public var attempt: Int { context.attempt }
}
