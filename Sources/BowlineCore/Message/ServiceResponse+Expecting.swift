internal import NIOCore

extension ServiceResponse {
    /// Returns this response if it has one of these statuses. Else throws an error with the status, fields and body of
    /// the response.
    ///
    /// ```swift
    /// let made = try await client.post("users", json: user).expecting(.created).decode(User.self)
    /// ```
    /// Without arguments, any 2xx status is expected, as it is by `decode` and `download`. The first 64 KiB of an
    /// unexpected response's body are read for the error. The rest is discarded.
    ///
    /// - Throws: ``ServiceError`` with the code `unexpectedStatus` (its property ``ServiceError/unexpectedStatus`` has
    ///   status, fields and body); `CancellationError` when the task is cancelled while the body is read.
    public func expecting(_ statuses: HTTPResponse.Status...) async throws -> ServiceResponse {
        guard statuses.isEmpty else { return try await expecting(where: statuses.contains) }
        return try await expecting { $0.kind == .successful }
    }

    /// Returns this response if its status code is in a range, for example `expecting(200..<400)`. Otherwise like
    /// `expecting` with a list of statuses.
    ///
    /// - Throws: ``ServiceError`` `unexpectedStatus`.
    public func expecting(_ codes: Range<Int>) async throws -> ServiceResponse {
        try await expecting { codes.contains($0.code) }
    }

    /// Returns this response if `isExpected` returns true for its status. Otherwise like `expecting` with a list of
    /// statuses.
    ///
    /// - Throws: ``ServiceError`` `unexpectedStatus`.
    public func expecting(where isExpected: (HTTPResponse.Status) -> Bool) async throws -> ServiceResponse {
        guard isExpected(status) else { throw try await unexpected() }
        var response = self
        response.isStatusChecked = true
        return response
    }

    /// Returns this response if the caller has checked its status already, or if its status is 2xx. Else throws
    /// `unexpectedStatus`.
    package func expectingSuccess() async throws -> ServiceResponse {
        isStatusChecked ? self : try await expecting()
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
