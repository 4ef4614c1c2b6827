internal import BowlineCore

/// The head of a final response, whichever protocol it came by.
struct ResponseHead {
    let status: HTTPResponse.Status
    let fields: ReceivedFields
    let version: ConnectionFacts.ProtocolVersion
}

/// How a response came in, and what came before it.
struct ResponseArrival {
    /// The request had been written whole.
    var sent: MonotonicInstant?
    var firstByte: MonotonicInstant?
    var head: MonotonicInstant?
    var informational: [InformationalResponse] = []
}
