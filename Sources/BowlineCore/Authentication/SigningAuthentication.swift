/// A function that signs each attempt: for schemes that cover method, URL and fields, as AWS SigV4 or HMACs of your own.
///
/// ```swift
/// $0.authentication = SigningAuthentication { request, context in
///     request.fields[signature] = sign(request)
/// }
/// ```
/// For one that has to wait for something, write a ``RequestAuthenticator``; for a token, use ``BearerAuthentication``.
public struct SigningAuthentication: RequestAuthenticator, PunctualAuthenticator {
    private let sign: @Sendable (inout ServiceRequest, RequestContext) throws -> Void

    /// Makes a signer.
    ///
    /// - Parameter sign: Called in the request's task for each attempt, with all of the request but the fields that frame
    ///   it; must not block. What it throws fails the request with `authenticationFailed`.
    public init(_ sign: @escaping @Sendable (inout ServiceRequest, RequestContext) throws -> Void) {
        self.sign = sign
    }

    /// Calls the function.
    ///
    /// - Throws: what it throws.
    public func authenticate(_ request: inout ServiceRequest, context: RequestContext) async throws {
        try sign(&request, context)
    }
}
