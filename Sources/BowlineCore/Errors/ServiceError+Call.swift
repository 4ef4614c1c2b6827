internal import HTTPTypes

extension ServiceError {
    /// This error with the call that it ended, unless it names one: middleware may throw the error of a call of its own.
    package func ofCall(_ method: HTTPRequest.Method?, _ target: String?) -> ServiceError {
        guard self.method == nil, self.target == nil else { return self }
        var error = self
        error.method = method
        error.target = target
        return error
    }
}

extension CallRecord {
    /// An error that says which call it ended; any other as it is.
    package func naming(_ error: any Error) -> any Error {
        guard let failure = error as? ServiceError, failure.method == nil, failure.target == nil else { return error }
        var named = failure.ofCall(HTTPRequest.Method(method), isTargetNamed ? target : nil)
        named.requestsSent = max(named.requestsSent, requestsSent)
        return named
    }

    /// As ``naming(_:)``, for an error of the response's body: it says which response it was, too.
    func describing(_ error: any Error) -> any Error {
        guard var failure = naming(error) as? ServiceError else { return error }
        if let answer { failure.describe(answer.status, answer.fields) }
        return failure
    }
}

extension ServiceError {
    /// Says which response it has to do with.
    fileprivate mutating func describe(_ status: Int, _ fields: ReceivedFields) {
        guard self.status == nil else { return }
        // Without the reason phrase, which is the peer's text.
        self.status = HTTPResponse.Status(code: status)
        mediaType = fields.mediaType
    }
}

extension ServiceResponse {
    /// `error` with the facts of this response and of the attempt that brought it.
    package func describing(_ error: ServiceError) -> ServiceError {
        var error = body.describing(error)
        error.describe(status.code, receivedFields)
        return error
    }

    /// Ties the response to its call: the end of the body ends the call, values are decoded as the client decodes, and errors
    /// name both.
    package mutating func attach(to call: CallRecord, decoding: BodyDecoding) {
        call.answer = (status.code, receivedFields)
        self.decoding = decoding
        body.attach(to: call, decoding: decoding)
    }
}
