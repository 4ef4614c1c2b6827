internal import BowlineCore

extension ServiceClient {
    /// Calls an operation of the service; see ``Endpoint``.
    ///
    /// - Parameters:
    ///   - endpoint: The operation.
    ///   - input: The input for the endpoint's request.
    ///   - options: Changes this call's options, after the endpoint has set them; nil: no change.
    /// - Throws: ``ServiceError``: before anything is sent, `invalidRequest` if the path cannot be filled in, and
    ///   `encodingFailed`; after the response, `unexpectedStatus`, `decodingFailed`, `bodyTooLarge`; else as
    ///   ``send(_:)``. Also any error of the endpoint's own functions.
    public func call<Input, Output>(
        _ endpoint: Endpoint<Input, Output>, _ input: Input, options: OptionsChange? = nil
    ) async throws -> Output {
        let decoder = endpoint.decoder ?? configuration.decoder
        let response = try await send(request(endpoint, input, decoder, options))
        let expected =
            endpoint.expecting.isEmpty
            ? try await response.expecting() : try await response.expecting(where: endpoint.expecting.contains)
        return try await endpoint.receive(expected, decoder)
    }

    /// Calls an operation that needs no input; see ``call(_:_:options:)``.
    public func call<Output>(
        _ endpoint: Endpoint<Void, Output>, options: OptionsChange? = nil
    ) async throws -> Output {
        try await call(endpoint, (), options: options)
    }

    private func request<Input, Output>(
        _ endpoint: Endpoint<Input, Output>, _ input: Input, _ decoder: any BodyDecoder, _ change: OptionsChange?
    ) throws -> ServiceRequest {
        do {
            return try prepared(endpoint, input, decoder, change)
        } catch {
            throw Self.naming(error, endpoint.method, endpoint.options.targetTemplate ?? endpoint.path)
        }
    }

    private func prepared<Input, Output>(
        _ endpoint: Endpoint<Input, Output>, _ input: Input, _ decoder: any BodyDecoder, _ change: OptionsChange?
    ) throws -> ServiceRequest {
        var parts = EndpointRequest(options: endpoint.options, encoder: endpoint.encoder ?? configuration.encoder)
        try endpoint.prepare(input, &parts)
        if parts.options.targetTemplate == nil { parts.options.targetTemplate = endpoint.path }
        change?(&parts.options)
        if endpoint.acceptsDecoded, !parts.fields.contains(.accept) { parts.fields[.accept] = decoder.contentType }
        return ServiceRequest(
            method: endpoint.method, parts.query.appended(to: try endpoint.template.filled(with: parts.path)),
            fields: parts.fields, body: parts.body, options: parts.options
        )
    }
}
