internal import BowlineCore
internal import NIOCore
internal import NIOHTTP1

/// The service's side of one HTTP/1.1 connection. SwiftNIO's parser reads the requests; the answers are written as
/// bytes.
// Safety: used on the simulation's thread only.
final class SimulationHTTP1Peer: ChannelInboundHandler, SimulationWire, @unchecked Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = ByteBuffer

    private let service: SimulationService
    private let channel: SimulationChannel
    /// How long the peer keeps an unused connection. nil: as long as the client.
    private let keepAlive: Duration?
    private var arrival: SimulationArrival?
    /// The framing of the answer that is being sent.
    private var isChunked = false
    private var isEnding = false
    /// Distinguishes the current idle time from earlier ones.
    private var idleTime = 0

    init(_ service: SimulationService, channel: SimulationChannel, keepAlive: Duration?) {
        self.service = service
        self.channel = channel
        self.keepAlive = keepAlive
    }

    /// Adds the handlers of a peer to its channel.
    func add() throws {
        try channel.pipeline.syncOperations.addHandlers([
            ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)), self,
        ])
    }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): begin(head)
        case .body(let bytes): arrival?.receive(bytes)
        case .end:
            arrival?.receivedEnd()
            rest()
        }
    }

    private func begin(_ head: HTTPRequestHead) {
        idleTime += 1
        if let arrival, !(arrival.isOver && arrival.isWhole) {
            service.problem("connection \(channel.number): a request came before the last one had ended")
        }
        let fields = SimulationService.Fields(
            number: head.headers.first(name: SimulationContent.numberField),
            key: head.headers.first(name: "idempotency-key"),
            authorization: head.headers.first(name: "authorization"))
        arrival = service.arrived(
            method: head.method.rawValue, target: head.uri, fields, on: channel.number, wire: self, loop: channel.loop)
        arrival?.begin(expectsContinue: head.headers.first(name: "expect") == "100-continue")
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The path may cut a request anywhere.
        if let error = error as? HTTPParserError, error != .invalidEOFState {
            service.problem("connection \(channel.number): malformed request: \(error)")
        }
        context.close(promise: nil)
    }

    /// Closes the connection when it has not been used for a while.
    private func rest() {
        guard let keepAlive, let arrival, arrival.isOver, arrival.isWhole, isOpen else { return }
        idleTime += 1
        let number = idleTime
        channel.loop.schedule(after: keepAlive) {
            guard self.idleTime == number, self.isOpen else { return }
            self.service.note("connection \(self.channel.number) was idle")
            self.close()
        }
    }

    // MARK: Writing

    var isOpen: Bool { channel.isActive && !isEnding }

    func sendInformational(_ status: Int) {
        write("HTTP/1.1 \(status) Information\r\n\(status == 100 ? "" : "link: </style>\r\n")\r\n")
    }

    func sendHead(
        _ status: Int, _ fields: [(name: String, value: String)], count: Int?, framing: SimulationAct.Framing,
        isLast: Bool
    ) {
        var text = "HTTP/1.1 \(status) Answer\r\n"
        for field in fields { text += "\(field.name): \(field.value)\r\n" }
        let isHead = arrival?.call.method == .head
        isChunked = framing == .chunked && count != nil && !isHead
        if isChunked {
            text += "transfer-encoding: chunked\r\n"
        } else if let count, framing != .untilClose || isHead {
            text += "content-length: \(count)\r\n"
        }
        if isLast { text += "connection: close\r\n" }
        write(text + "\r\n")
    }

    func sendBody(_ bytes: ByteBuffer) {
        guard bytes.readableBytes > 0 else { return }
        if isChunked { write(String(bytes.readableBytes, radix: 16) + "\r\n") }
        write(bytes)
        if isChunked { write("\r\n") }
    }

    func sendEnd(closes: Bool) {
        if isChunked { write("0\r\n\r\n") }
        if closes { close() } else { rest() }
    }

    func close() {
        guard !isEnding else { return }
        isEnding = true
        // Ends only the peer's direction: a close with unread bytes would be a reset, and the client could lose the
        // answer.
        channel.close(mode: .output, promise: nil)
        // The client closes when it sees the end. A peer does not wait for that forever.
        channel.loop.schedule(after: .seconds(2)) { self.channel.close(promise: nil) }
    }

    func reset() {
        isEnding = true
        channel.closeWithReset()
    }

    func refuse() {
        reset()
    }

    private func write(_ text: String) {
        write(ByteBuffer(string: text))
    }

    private func write(_ bytes: ByteBuffer) {
        channel.writeAndFlush(bytes, promise: nil)
    }
}
