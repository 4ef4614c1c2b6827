extension ServiceResponse {
    /// Sets the URL of the request that this response answers, unless a transport or an inner middleware has set one.
    /// Also sets how many requests were sent for the call so far.
    package mutating func note(_ request: ServiceRequest, of call: CallRecord) {
        if facts.url == nil { facts.url = request.url }
        let requestsSent = call.requestsSent
        if facts.requestsSent != requestsSent { facts.requestsSent = requestsSent }
    }

    /// Connects the response with its call. The end of the body then ends the call, the client's decoder decodes
    /// values, and errors name the call and the response.
    package mutating func attach(to call: CallRecord, decoding: BodyDecoding) {
        call.answer = (status.code, receivedFields)
        self.decoding = decoding
        body.attach(to: call, decoding: decoding)
    }
}
