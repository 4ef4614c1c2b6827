internal import HTTPTypes

extension ServiceError {
    /// Returns this error with the call that it ended. An error that already names a call is returned unchanged,
    /// because middleware may throw the error of another call that the middleware made.
    package func ofCall(_ method: HTTPRequest.Method?, _ target: String?) -> ServiceError {
        guard self.method == nil, self.target == nil else { return self }
        var error = self
        error.method = method
        error.target = target
        return error
    }
}

extension CallRecord {
    /// Returns the error with the call that it ended. An error of another type, or an error that already names a call,
    /// is returned unchanged.
    package func naming(_ error: any Error) -> any Error {
        guard let failure = error as? ServiceError, failure.method == nil, failure.target == nil else { return error }
        var named = failure.ofCall(HTTPRequest.Method(method), isTargetNamed ? target : nil)
        named.requestsSent = max(named.requestsSent, requestsSent)
        return named
    }

    /// The same as ``naming(_:)``, for an error of the response's body: the result also names the response.
    func describing(_ error: any Error) -> any Error {
        guard var failure = naming(error) as? ServiceError else { return error }
        if let answer { failure.describe(answer.status, answer.fields) }
        return failure
    }
}

extension ServiceError {
    /// Adds the status and the media type of a response, unless the error has a status already.
    fileprivate mutating func describe(_ status: Int, _ fields: ReceivedFields) {
        guard self.status == nil else { return }
        // The reason phrase is left out, because it is the peer's text.
        self.status = HTTPResponse.Status(code: status)
        mediaType = fields.mediaType
    }
}

extension ServiceResponse {
    /// Returns `error` with the facts of this response and of its attempt.
    package func describing(_ error: ServiceError) -> ServiceError {
        var error = body.describing(error)
        error.describe(status.code, receivedFields)
        return error
    }
}
