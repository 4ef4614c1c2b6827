internal import BowlineCore
internal import BowlineTesting
internal import NIOCore

/// The service behind all peers of a simulation: draws what happens to each arrival of a request, and counts the
/// executions.
// Safety: used on the simulation's thread only.
final class SimulationService: @unchecked Sendable {
    private let time: VirtualTime
    private let calls: [SimulationCall]
    /// Whether each request must have a token.
    private let hasTokens: Bool
    /// Draws the act for an arrival. The second parameter is the arrival's number, from 1.
    private let draw: (SimulationCall, Int) -> SimulationAct

    /// How often each call's request has arrived and was executed, by the call's number.
    private(set) var arrivals: [Int]
    private(set) var executions: [Int]
    /// The executions with the method of the call. A redirect may have made a GET of it.
    private(set) var executionsUnchanged: [Int]
    private var keys: [String?]
    /// The client's faults.
    private(set) var problems: [String] = []
    /// How often each kind of reaction was drawn.
    private(set) var reactions: [String: Int] = [:]
    private var allHeld: [SimulationArrival] = []
    /// The requests that wait until ``release(_:)``.
    var held: [SimulationArrival] { allHeld.filter(\.isOpen) }

    init(
        _ time: VirtualTime, calls: [SimulationCall], hasTokens: Bool,
        draw: @escaping (SimulationCall, Int) -> SimulationAct
    ) {
        self.time = time
        self.calls = calls
        self.hasTokens = hasTokens
        self.draw = draw
        arrivals = [Int](repeating: 0, count: calls.count)
        executions = [Int](repeating: 0, count: calls.count)
        executionsUnchanged = executions
        keys = [String?](repeating: nil, count: calls.count)
    }

    /// The fields of a request that the service checks.
    struct Fields: Sendable {
        var number: String?
        var key: String?
        var authorization: String?
    }

    /// The head of a request has arrived. nil: the request belongs to no call.
    func arrived(
        method: String, target: String, _ fields: Fields, on connection: Int, wire: any SimulationWire,
        loop: SimulationLoop
    ) -> SimulationArrival? {
        guard let (index, hop) = SimulationContent.call(ofTarget: target), calls.indices.contains(index) else {
            problem("a request for \(target.prefix(40))")
            return nil
        }
        let call = calls[index]
        if fields.number != "\(index)" { problem("request \(index) came with the fields of another") }
        if hop == 0, method != call.method.rawValue { problem("request \(index) came as \(method)") }
        if hop == 0 { check(fields.key, of: call) }
        if hasTokens != (fields.authorization?.hasPrefix("Bearer token-") ?? false) {
            problem("request \(index) came with the credentials \(fields.authorization ?? "none")")
        }
        arrivals[index] += 1
        let act = draw(call, arrivals[index])
        reactions[Self.name(act.reaction), default: 0] += 1
        note("\(method) \(target), arrival \(arrivals[index]), on connection \(connection)")
        return SimulationArrival(
            call, hop: hop, number: arrivals[index], act: act, connection: connection,
            isUnchanged: method == call.method.rawValue, service: self, wire: wire, loop: loop)
    }

    /// All arrivals of a request with a key have the same key, and no other request has one.
    private func check(_ key: String?, of call: SimulationCall) {
        guard (key != nil) == call.isKeyed else {
            problem("request \(call.number) came \(key == nil ? "without its" : "with a") key")
            return
        }
        if let known = keys[call.number], known != key { problem("request \(call.number) came with another key") }
        keys[call.number] = key
    }

    /// - Parameter isUnchanged: Whether the request came with the method of its call.
    func executed(_ call: SimulationCall, isUnchanged: Bool) {
        executions[call.number] += 1
        if isUnchanged { executionsUnchanged[call.number] += 1 }
        note("request \(call.number) is executed")
    }

    func problem(_ text: String) {
        note("PROBLEM: \(text)")
        if problems.count < 20 { problems.append(text) }
    }

    func note(_ text: String) {
        time.note("service: \(text)")
    }

    // MARK: Held requests

    func hold(_ arrival: SimulationArrival) {
        allHeld.append(arrival)
    }

    /// Answers the held request of this call, if there is one.
    func release(_ number: Int) {
        guard let index = allHeld.lastIndex(where: { $0.call.number == number && $0.isOpen }) else { return }
        allHeld.remove(at: index).release()
    }

    private static func name(_ reaction: SimulationAct.Reaction) -> String {
        switch reaction {
        case .answers: "answers"
        case .rejects(let status, _): "rejects \(status)"
        case .redirects: "redirects"
        case .closes: "closes"
        case .resets: "resets"
        case .refuses: "refuses"
        case .isSilent: "silent"
        case .truncates: "truncates"
        case .isHeld: "held"
        }
    }
}
