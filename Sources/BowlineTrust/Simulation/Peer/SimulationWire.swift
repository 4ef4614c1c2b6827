internal import NIOCore

/// One request's place on the connection of a peer: how an answer is written in one protocol.
protocol SimulationWire: AnyObject {
    /// Whether something can still be sent.
    var isOpen: Bool { get }

    func sendInformational(_ status: Int)

    /// Sends the head of the answer.
    ///
    /// - Parameters:
    ///   - count: How many bytes of a body follow. nil: none, and none are announced.
    ///   - framing: How the body is delimited, where the protocol has a choice.
    ///   - isLast: Whether to announce that the connection takes no more requests.
    func sendHead(
        _ status: Int, _ fields: [(name: String, value: String)], count: Int?, framing: SimulationAct.Framing,
        isLast: Bool)

    func sendBody(_ bytes: ByteBuffer)

    /// Ends the answer. `closes`: whether the connection ends after it.
    func sendEnd(closes: Bool)

    /// Ends the connection.
    func close()

    /// Resets the connection, or the stream.
    func reset()

    /// Refuses the request in the way of the protocol. The service has not acted on it.
    func refuse()
}
