public import BowlineCore
public import NIOCore

/// A request as a ``StubTransport`` received it, its body read.
public struct StubbedCall: Sendable {
    /// The request.
    public let request: ServiceRequest
    /// What came with it: the deadline, the attempt.
    public let context: RequestContext
    /// The body's bytes; empty if the answer failed before the body was read.
    public internal(set) var body = ByteBuffer()
    /// The trailer fields; nil if there were none.
    public internal(set) var trailers: HTTPFields?
    /// The path of the URL, percent-encoded.
    public let path: String
    /// The query of the URL; nil if there is none.
    public let query: String?

    /// The method.
    public var method: HTTPRequest.Method { request.method }
    /// The header fields.
    public var fields: HTTPFields { request.fields }
    /// The body as text, with replacement characters where it is not UTF-8.
    public var bodyText: String { String(buffer: body) }
    /// Which attempt it was, from 1.
    public var attempt: Int { context.attempt }
}
