public import NIOCore

/// An authenticator that signs each attempt with your function. Use it for schemes that sign method, URL, fields and
/// body, such as an HMAC.
///
/// ```swift
/// $0.authentication = SigningAuthentication(bodyUpTo: 1 << 20) { request, context, body in
///     request.fields[signature] = sign(request, body)
/// }
/// ```
/// If the function has to wait for something, or hashes a body of any size through ``RequestBody/chunks`` (AWS SigV4),
/// write a ``RequestAuthenticator``. For a token, use ``BearerAuthentication``.
public struct SigningAuthentication: RequestAuthenticator, BoundedAuthenticator {
    private enum Kind: Sendable {
        case request(@Sendable (inout ServiceRequest, RequestContext) throws -> Void)
        case body(upTo: Int, @Sendable (inout ServiceRequest, RequestContext, ByteBuffer) throws -> Void)
    }

    private let kind: Kind

    /// Whether the signer reads the body. If the body is not in memory, reading it may take time.
    package var mayWait: Bool {
        if case .body = kind { true } else { false }
    }

    /// Makes a signer that does not need the body, or needs only a body in memory (``RequestBody/bytes``).
    ///
    /// - Parameter sign: Called in the request's task for each attempt. The request is complete except for the fields
    ///   that frame it (`Host`, `Content-Length`, `Connection`). Must not block. If it throws, the request fails with
    ///   `authenticationFailed`.
    public init(_ sign: @escaping @Sendable (inout ServiceRequest, RequestContext) throws -> Void) {
        kind = .request(sign)
    }

    /// Makes a signer that gets the whole body.
    ///
    /// A body in memory is passed unchanged, whatever its size. Any other body, also a stream, is read into memory
    /// first, and the bytes that were read are sent. So the signature covers the bytes that are sent, even if a file
    /// changes meanwhile. A stream longer than 64 KiB cannot be sent in a second attempt. This is the same for requests
    /// without a signature.
    ///
    /// - Parameters:
    ///   - limit: The maximum number of bytes that are read into memory, from 0. If the body is longer, the request
    ///     fails with `authenticationFailed`, and nothing is sent.
    ///   - sign: Called for each attempt, with the body. The request is complete except for the fields that frame it.
    ///     Must not block. If it throws, the request fails with `authenticationFailed`.
    public init(
        bodyUpTo limit: Int,
        _ sign: @escaping @Sendable (inout ServiceRequest, RequestContext, ByteBuffer) throws -> Void
    ) {
        kind = .body(upTo: limit, sign)
    }

    /// Reads the body if the function needs it, and calls the function.
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

    /// Returns the body's bytes. If the bytes were not in memory, they become the request's body.
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
