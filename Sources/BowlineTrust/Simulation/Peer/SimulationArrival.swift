internal import BowlineCore
internal import BowlineTesting
internal import NIOCore

/// One arrival of a request at the service: checks what arrives, and carries out the act that the seed has drawn.
// Safety: used on the simulation's thread only.
final class SimulationArrival: @unchecked Sendable {
    let call: SimulationCall
    let hop: Int
    /// The number of this arrival among those of its call, from 1.
    let number: Int
    let act: SimulationAct
    /// The number of the connection on which it came.
    let connection: Int

    private let service: SimulationService
    /// Whether the service can still answer.
    var isOpen: Bool { wire?.isOpen ?? false }

    private weak var wire: (any SimulationWire)?
    private let loop: SimulationLoop
    /// Whether the request has the method and the body of its call. A redirect may have changed the method to GET.
    private let isUnchanged: Bool
    private var received = 0
    private(set) var isWhole = false
    private var hasReacted = false
    private var isExecuted = false
    /// Whether the answer was sent to its end, or will not be.
    private(set) var isOver = false

    init(
        _ call: SimulationCall, hop: Int, number: Int, act: SimulationAct, connection: Int, isUnchanged: Bool,
        service: SimulationService, wire: any SimulationWire, loop: SimulationLoop
    ) {
        self.call = call
        self.hop = hop
        self.number = number
        self.act = act
        self.connection = connection
        self.isUnchanged = isUnchanged
        self.service = service
        self.wire = wire
        self.loop = loop
    }

    // MARK: What arrives

    /// The head has arrived.
    func begin(expectsContinue: Bool) {
        if act.isEarly {
            scheduleReaction()
        } else if expectsContinue, act.answersContinue {
            wire?.sendInformational(100)
        }
    }

    func receive(_ bytes: ByteBuffer) {
        let count = bytes.readableBytes
        let expected = SimulationContent.bytes(call.number, .request, from: received, count: count)
        if bytes != expected { service.problem("\(name) came with a body of other bytes") }
        received += count
    }

    /// The request is complete.
    func receivedEnd() {
        guard !isWhole else { return }
        isWhole = true
        let count = isUnchanged ? call.bodyCount : 0
        if received != count { service.problem("\(name) has \(received) bytes, not \(count)") }
        if !act.isEarly { scheduleReaction() }
    }

    private var name: String { "request \(call.number), arrival \(number)" }

    // MARK: The act

    private func scheduleReaction() {
        loop.schedule(after: act.delay) { self.react() }
    }

    private func react() {
        guard !hasReacted, let wire, wire.isOpen else { return }
        hasReacted = true
        service.note("\(name): \(act.reaction)\(act.isEarly ? " early" : "")")
        switch act.reaction {
        case .answers: answer(wire)
        case .rejects(let status, let retryAfter):
            let fields = retryAfter.map { [(name: "retry-after", value: "\($0)")] } ?? []
            respond(wire, status, fields, ByteBuffer(string: "rejected"))
        case .redirects(let status):
            respond(
                wire, status, [(name: "location", value: SimulationContent.target(call.number, hop: hop + 1))],
                ByteBuffer())
        case .closes(let isExecuted):
            if isExecuted, isWhole { execute() }
            end(wire) { $0.close() }
        case .resets(let isExecuted):
            if isExecuted, isWhole { execute() }
            end(wire) { $0.reset() }
        case .refuses: end(wire) { $0.refuse() }
        case .isSilent(let isExecuted): if isExecuted, isWhole { execute() }
        case .truncates(let isReset):
            execute()
            let body = answerBody
            sendHead(wire, 200, [], body)
            if call.method != .head { wire.sendBody(body.getSlice(at: 0, length: body.readableBytes / 2) ?? body) }
            end(wire) { if isReset { $0.reset() } else { $0.close() } }
        case .isHeld: service.hold(self)
        }
    }

    /// Executes the request, and answers it. Called by the service for a held request.
    func release() {
        guard let wire, wire.isOpen, !isOver else { return }
        answer(wire)
    }

    private func answer(_ wire: any SimulationWire) {
        execute()
        respond(wire, 200, [], answerBody)
    }

    private var answerBody: ByteBuffer { SimulationContent.bytes(call.number, .answer, count: call.answerCount) }

    private func execute() {
        guard !isExecuted else { return }
        isExecuted = true
        service.executed(call, isUnchanged: isUnchanged)
    }

    private func end(_ wire: any SimulationWire, _ action: (any SimulationWire) -> Void) {
        isOver = true
        action(wire)
    }

    // MARK: The answer

    private func sendHead(
        _ wire: any SimulationWire, _ status: Int, _ fields: [(name: String, value: String)], _ body: ByteBuffer
    ) {
        let own = [
            (name: SimulationContent.numberField, value: "\(call.number)"),
            (name: SimulationContent.arrivalField, value: "\(number)"),
            (name: SimulationContent.executedField, value: isExecuted ? "yes" : "no"),
            (name: SimulationContent.framingField, value: "\(act.framing)"),
        ]
        wire.sendHead(
            status, own + fields, count: body.readableBytes, framing: act.framing,
            isLast: act.closesAfter && act.saysClose)
    }

    private func respond(
        _ wire: any SimulationWire, _ status: Int, _ fields: [(name: String, value: String)], _ body: ByteBuffer
    ) {
        for _ in 0..<act.informational { wire.sendInformational(103) }
        sendHead(wire, status, fields, body)
        sendBody(call.method == .head ? ByteBuffer() : body, pieces: 0)
    }

    /// Sends the rest of a body: the first 20 pieces with a pause after each.
    private func sendBody(_ body: ByteBuffer, pieces: Int) {
        guard let wire, wire.isOpen, !isOver else { return }
        var rest = body
        var sent = pieces
        while rest.readableBytes > 0 {
            let size = sent < 20 ? min(act.pieceSize, rest.readableBytes) : rest.readableBytes
            guard let piece = rest.readSlice(length: max(1, size)) else { break }
            wire.sendBody(piece)
            sent += 1
            guard wire.isOpen else { return }
            if act.pause > .zero, rest.readableBytes > 0 {
                let (left, count) = (rest, sent)
                loop.schedule(after: act.pause) { self.sendBody(left, pieces: count) }
                return
            }
        }
        isOver = true
        // An answer to HEAD has a length. If the connection closed behind it, unannounced, it would take the next request
        // with it.
        wire.sendEnd(closes: act.closesAfter || act.framing == .untilClose && call.method != .head)
    }
}
