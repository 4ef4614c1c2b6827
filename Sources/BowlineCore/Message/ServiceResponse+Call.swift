extension ServiceResponse {
    /// Connects the response with its call. The end of the body then ends the call, the client's decoder decodes
    /// values, and errors name the call and the response.
    package mutating func attach(to call: CallRecord, decoding: BodyDecoding) {
        call.answer = (status.code, receivedFields)
        self.decoding = decoding
        body.attach(to: call, decoding: decoding)
    }
}
