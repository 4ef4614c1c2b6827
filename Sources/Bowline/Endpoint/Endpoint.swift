public import BowlineCore

/// One operation of a service: how an input becomes a request, and how the response becomes an output.
///
/// A typed client has a few endpoints and a method for each:
/// ```swift
/// struct Orders {
///     let client: ServiceClient
///
///     static let find = Endpoint<Int, Order>(.get, "orders/{id}") { id, request in request.path["id"] = id }
///     static let place = Endpoint<NewOrder, Order>(.post, "orders", expecting: [.created]) { order, request in
///         try request.encode(order)
///     }
///
///     func order(_ id: Int) async throws -> Order { try await client.call(Self.find, id) }
///     func place(_ order: NewOrder) async throws -> Order { try await client.call(Self.place, order) }
/// }
/// ```
/// The path is relative to the client's base URL. A path with its placeholders is a template. Spans, log lines, events
/// and reports name the call by the template. If the template has a mistake, each call fails with `invalidRequest`.
public struct Endpoint<Input, Output>: Sendable {
    /// Fills in the request of one call.
    public typealias Prepare = @Sendable (_ input: Input, _ request: inout EndpointRequest) throws -> Void
    /// Makes the output from a response with an expected status.
    public typealias Receive =
        @Sendable (_ response: ServiceResponse, _ decoder: any BodyDecoder) async throws -> Output

    /// The method.
    public let method: HTTPRequest.Method
    /// The path with placeholders in braces, for example `users/{id}`.
    public let path: String
    /// The statuses that count as a success; empty: any 2xx.
    public let expecting: Set<HTTPResponse.Status>
    /// The options of each call: idempotency, timeouts, retries, redirects …
    public let options: RequestOptions
    /// The encoder for values; nil: the client's encoder.
    public let encoder: (any BodyEncoder)?
    /// The decoder for the response; nil: the client's decoder.
    public let decoder: (any BodyDecoder)?

    /// Whether the response is decoded. If so, the request's `Accept` names the decoder's content type.
    let acceptsDecoded: Bool
    let template: PathTemplate
    let prepare: Prepare
    let receive: Receive

    /// Describes an operation with a function of yours that makes the output from the response.
    ///
    /// ```swift
    /// /// The order, or nil where there is none.
    /// static let ifThere = Endpoint<Int, Order?>(
    ///     .get, "orders/{id}", expecting: [.ok, .notFound],
    ///     prepare: { id, request in request.path["id"] = id },
    ///     receive: { response, decoder in
    ///         guard response.status == .ok else { return nil }
    ///         return try await response.decode(Order.self, using: decoder)
    ///     })
    /// ```
    /// - Parameters:
    ///   - method: The method.
    ///   - path: The path with placeholders in braces, for example `users/{id}`; no query.
    ///   - expecting: The statuses that count as a success; empty: any 2xx. Any other status fails the call with
    ///     `unexpectedStatus`.
    ///   - options: The options of each call.
    ///   - encoder: The encoder of ``EndpointRequest/encode(_:)``; nil: the client's encoder.
    ///   - decoder: The decoder that `receive` gets; nil: the client's.
    ///   - prepare: Fills in the request of one call. May throw.
    ///   - receive: Makes the output from a response with an expected status. It gets the endpoint's decoder, or else
    ///     the client's. It must read or drop the body. If it throws, the call fails with that error.
    public init(
        _ method: HTTPRequest.Method, _ path: String, expecting: Set<HTTPResponse.Status> = [],
        options: RequestOptions = RequestOptions(), encoder: (any BodyEncoder)? = nil,
        decoder: (any BodyDecoder)? = nil, prepare: @escaping Prepare = { _, _ in }, receive: @escaping Receive
    ) {
        self.init(
            method, path, expecting, options, encoder, decoder, acceptsDecoded: false, prepare: prepare,
            receive: receive
        )
    }

    private init(
        _ method: HTTPRequest.Method, _ path: String, _ expecting: Set<HTTPResponse.Status>,
        _ options: RequestOptions, _ encoder: (any BodyEncoder)?, _ decoder: (any BodyDecoder)?, acceptsDecoded: Bool,
        prepare: @escaping Prepare, receive: @escaping Receive
    ) {
        self.method = method
        self.path = path
        self.expecting = expecting
        self.options = options
        self.encoder = encoder
        self.decoder = decoder
        self.acceptsDecoded = acceptsDecoded
        template = PathTemplate(path)
        self.prepare = prepare
        self.receive = receive
    }
}

extension Endpoint where Output: Decodable & Sendable {
    /// Describes an operation that returns the decoded response. Sends the decoder's content type as `Accept`.
    ///
    /// - Parameters:
    ///   - method: The method.
    ///   - path: The path with placeholders in braces, for example `users/{id}`; no query.
    ///   - expecting: The statuses that count as a success; empty: any 2xx. Any other status fails the call with
    ///     `unexpectedStatus`.
    ///   - options: The options of each call.
    ///   - encoder: The encoder of ``EndpointRequest/encode(_:)``; nil: the client's encoder.
    ///   - decoder: The decoder for the response; nil: the client's decoder.
    ///   - responseLimit: The maximum number of bytes of a response's body. Default 16 MiB.
    ///   - prepare: Fills in the request of one call. May throw.
    public init(
        _ method: HTTPRequest.Method, _ path: String, expecting: Set<HTTPResponse.Status> = [],
        options: RequestOptions = RequestOptions(), encoder: (any BodyEncoder)? = nil,
        decoder: (any BodyDecoder)? = nil, responseLimit: Int = 16 << 20,
        prepare: @escaping Prepare = { _, _ in }
    ) {
        self.init(
            method, path, expecting, options, encoder, decoder, acceptsDecoded: true, prepare: prepare
        ) { response, decoder in
            try await response.decode(Output.self, upTo: responseLimit, using: decoder)
        }
    }
}

extension Endpoint {
    /// Describes an operation that returns the decoded value with the response's status and fields (``Typed``). Sends
    /// the decoder's content type as `Accept`.
    ///
    /// ```swift
    /// static let list = Endpoint<Int, Typed<[Order]>>(.get, "orders") { limit, request in request.query["limit"] = limit }
    /// ```
    /// The parameters are the same as for an endpoint whose output is the value alone.
    public init<Value: Decodable & Sendable>(
        _ method: HTTPRequest.Method, _ path: String, expecting: Set<HTTPResponse.Status> = [],
        options: RequestOptions = RequestOptions(), encoder: (any BodyEncoder)? = nil,
        decoder: (any BodyDecoder)? = nil, responseLimit: Int = 16 << 20,
        prepare: @escaping Prepare = { _, _ in }
    ) where Output == Typed<Value> {
        self.init(
            method, path, expecting, options, encoder, decoder, acceptsDecoded: true, prepare: prepare
        ) { response, decoder in
            let value = try await response.decode(Value.self, upTo: responseLimit, using: decoder)
            return Typed(value, of: response)
        }
    }
}

extension Endpoint where Output == Void {
    /// Describes an operation without an output: only the response's status matters, and the body is discarded.
    ///
    /// The parameters are the same as in the other initializers.
    public init(
        _ method: HTTPRequest.Method, _ path: String, expecting: Set<HTTPResponse.Status> = [],
        options: RequestOptions = RequestOptions(), encoder: (any BodyEncoder)? = nil,
        prepare: @escaping Prepare = { _, _ in }
    ) {
        self.init(method, path, expecting, options, encoder, nil, acceptsDecoded: false, prepare: prepare) {
            response, _ in response.body.discard()
        }
    }
}

extension Endpoint where Output == ServiceResponse {
    /// Describes an operation that returns the response itself, for example to read a stream or to write a file.
    ///
    /// The parameters are the same as in the other initializers.
    public init(
        _ method: HTTPRequest.Method, _ path: String, expecting: Set<HTTPResponse.Status> = [],
        options: RequestOptions = RequestOptions(), encoder: (any BodyEncoder)? = nil,
        prepare: @escaping Prepare = { _, _ in }
    ) {
        self.init(method, path, expecting, options, encoder, nil, acceptsDecoded: false, prepare: prepare) {
            response, _ in response
        }
    }
}
