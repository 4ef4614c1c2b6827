internal import BowlineCore

/// The head of a final response, from either protocol.
struct ResponseHead {
    let status: HTTPResponse.Status
    let fields: ReceivedFields
    let version: ConnectionFacts.ProtocolVersion
}

/// When the parts of a response arrived, and the informational responses before it.
struct ResponseArrival {
    /// When the request had been written whole.
    var sent: MonotonicInstant?
    var firstByte: MonotonicInstant?
    var head: MonotonicInstant?
    var informational: [InformationalResponse] = []
}
