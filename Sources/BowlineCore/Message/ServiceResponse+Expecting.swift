internal import NIOCore

extension ServiceResponse {
    /// Says which statuses are a success: the response if it has one of them, else an error that keeps it.
    ///
    /// ```swift
    /// let made = try await client.post("users", json: user).expecting(.created).decode(User.self)
    /// ```
    /// Without arguments: any 2xx, as `decode` and `download` expect by themselves. The first 64 KiB of
    /// an unexpected response's body are read for the error; the rest is given up.
    ///
    /// - Throws: ``ServiceError`` `unexpectedStatus`, whose ``ServiceError/unexpectedStatus`` has status, fields and
    ///   body; `CancellationError` when the task is cancelled while that is read.
    public func expecting(_ statuses: HTTPResponse.Status...) async throws -> ServiceResponse {
        guard statuses.isEmpty else { return try await expecting(where: statuses.contains) }
        return try await expecting { $0.kind == .successful }
    }

    /// Says which status codes are a success, as `expecting(200..<400)`; otherwise as with a list of statuses.
    ///
    /// - Throws: ``ServiceError`` `unexpectedStatus`.
    public func expecting(_ codes: Range<Int>) async throws -> ServiceResponse {
        try await expecting { codes.contains($0.code) }
    }

    /// Says by a rule which statuses are a success; otherwise as with a list of statuses.
    ///
    /// - Throws: ``ServiceError`` `unexpectedStatus`.
    public func expecting(where isExpected: (HTTPResponse.Status) -> Bool) async throws -> ServiceResponse {
        guard isExpected(status) else { throw try await unexpected() }
        var response = self
        response.isStatusExpected = true
        return response
    }

    /// This response, unless its status is neither expected by the caller nor a success.
    package func expectingSuccess() async throws -> ServiceResponse {
        isStatusExpected ? self : try await expecting()
    }

    private func unexpected() async throws -> ServiceError {
        let (kept, isTruncated) = try await body.collectPrefix(of: UnexpectedStatus.bodyLimit)
        var found = UnexpectedStatus(status: status, fields: fields, body: kept, isTruncated: isTruncated)
        found.decoding = decoding
        var error = ServiceError(
            .unexpectedStatus, "the response's status is \(status.code), which is not expected", underlying: found,
            progress: .responseStarted, attempts: attempts, phase: .receivingBody
        )
        error.requestsSent = requestsSent
        return describing(error)
    }
}
