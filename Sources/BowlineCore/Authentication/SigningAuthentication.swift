public import NIOCore

/// A function that signs each attempt: for schemes that cover method, URL, fields and body, as HMACs of your own.
///
/// ```swift
/// $0.authentication = SigningAuthentication(bodyUpTo: 1 << 20) { request, context, body in
///     request.fields[signature] = sign(request, body)
/// }
/// ```
/// For one that has to wait for something, or that hashes a body of any size in ``RequestBody/chunks`` (AWS SigV4), write a
/// ``RequestAuthenticator``; for a token, use ``BearerAuthentication``.
public struct SigningAuthentication: RequestAuthenticator, BoundedAuthenticator {
    private enum Kind: Sendable {
        case request(@Sendable (inout ServiceRequest, RequestContext) throws -> Void)
        case body(upTo: Int, @Sendable (inout ServiceRequest, RequestContext, ByteBuffer) throws -> Void)
    }

    private let kind: Kind

    /// A body that is yet to be read is waited for.
    package var mayWait: Bool {
        if case .body = kind { true } else { false }
    }

    /// Makes a signer that needs no body, or only one whose bytes are here (``RequestBody/bytes``).
    ///
    /// - Parameter sign: Called in the request's task for each attempt, with all of the request but the fields that frame
    ///   it; must not block. Its error fails the request with `authenticationFailed`.
    public init(_ sign: @escaping @Sendable (inout ServiceRequest, RequestContext) throws -> Void) {
        kind = .request(sign)
    }

    /// Makes a signer that gets the whole body.
    ///
    /// A body in memory is passed as it is, at any size. Any other body is read first, a stream too, and
    /// those bytes are sent: the signature covers these bytes, even if a file changes meanwhile. A stream longer than 64 KiB
    /// cannot be sent in a second attempt then, as without a signature.
    ///
    /// - Parameters:
    ///   - limit: How many bytes of a body are read into memory, from 0. A longer one fails the request with
    ///     `authenticationFailed`, and nothing is sent.
    ///   - sign: Called for each attempt, with all of the request but the fields that frame it, and with the body; must not
    ///     block. Its error fails the request with `authenticationFailed`.
    public init(
        bodyUpTo limit: Int,
        _ sign: @escaping @Sendable (inout ServiceRequest, RequestContext, ByteBuffer) throws -> Void
    ) {
        kind = .body(upTo: limit, sign)
    }

    /// Reads the body if the function wants it, and calls the function.
    ///
    /// - Throws: any error of the function, or of reading the body.
    public func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
        switch kind {
        case .request(let sign):
            try sign(&request, context)
        case .body(let limit, let sign):
            let body = try await Self.body(of: &request, upTo: limit)
            try sign(&request, context, body)
        }
    }

    /// The body's bytes; where they had to be read, they are the request's body from now on.
    private static func body(of request: inout ServiceRequest, upTo limit: Int) async throws -> ByteBuffer {
        if let bytes = request.body.bytes { return bytes }
        let limit = min(limit, Int(Int32.max))
        guard request.body.length ?? 0 <= limit else { throw tooLarge(limit) }
        var collected = ByteBuffer()
        for try await var chunk in request.body.chunks {
            guard collected.readableBytes + chunk.readableBytes <= limit else { throw tooLarge(limit) }
            collected.writeBuffer(&chunk)
        }
        request.body = request.body.replaced(by: collected)
        return collected
    }

    private static func tooLarge(_ limit: Int) -> ServiceError {
        ServiceError(.invalidRequest, "the request body is larger than SigningAuthentication(bodyUpTo: \(limit)) reads")
    }
}
