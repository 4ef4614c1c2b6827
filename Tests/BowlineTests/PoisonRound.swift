import Bowline
import BowlineTesting
import NIOCore

/// Bytes that a server sends without a request.
enum Poison: String, CaseIterable, Sendable {
    case wholeResponse, halfHead, garbage

    var bytes: String {
        switch self {
        case .wholeResponse: "HTTP/1.1 200 OK\r\nX-Poison: 1\r\nContent-Length: 6\r\n\r\npoison"
        case .halfHead: "HTTP/1.1 200 OK\r\nX-Poison: "
        case .garbage: "\u{1}\u{2}garbage"
        }
    }
}

/// When the server sends them: in the same write as a response, or so many milliseconds after it.
enum PoisonDelay: Int, CaseIterable, Sendable {
    case glued = 0, one = 1, five = 5, fifty = 50
}

/// What the client does meanwhile.
enum PoisonPace: CaseIterable, Sendable {
    /// Nothing: the connection is unused until it has been closed.
    case idle
    /// Sends the next request at the moment when the poison has reached this machine.
    case atArrival
    /// Sends one request after another, without a pause.
    case busy
}

/// One poisoned connection: what the server sent and when, on the clock that the client uses too.
final class PoisonRound: Sendable {
    private struct State {
        var isPoisoned = false
        /// When the kernel had accepted the answer to a path.
        var answers: [String: MonotonicInstant] = [:]
        var poisonSent: MonotonicInstant?
        var violations: [String] = []
    }

    let number: Int
    let poison: Poison
    let delay: PoisonDelay
    let pace: PoisonPace
    /// Opens when the poison was sent and its time noted; with ``PoisonPace/idle`` when the client has then closed.
    let isOver = Gate()
    /// Opens when the client has closed the poisoned connection.
    let isClosed = Gate()
    private let state = Guarded(State())

    init(_ number: Int, _ poison: Poison, _ delay: PoisonDelay) {
        self.number = number
        self.poison = poison
        self.delay = delay
        pace = PoisonPace.allCases[number % PoisonPace.allCases.count]
    }

    func path(_ request: Int) -> String { "/\(number)/\(request)" }

    var violations: [String] {
        state.withLock { $0.violations }
            .map { "\(poison.rawValue), \(delay) ms, \(pace), round \(number): \($0)" }
    }

    var poisonSent: MonotonicInstant? { state.withLock { $0.poisonSent } }

    func violated(_ text: String) {
        state.withLock { $0.violations.append(text) }
    }

    /// Whether the bytes that answered a request may have done so: they had not been sent before the client leased the
    /// connection. Bytes that the server has not noted yet were sent just now.
    func mayHaveAnswered(_ answered: String?, leased: MonotonicInstant) -> Bool {
        state.withLock { state in
            let sent = answered.map { state.answers[$0] } ?? state.poisonSent
            return sent.map { $0 > leased } ?? true
        }
    }

    // MARK: The server's side

    /// Serves a request of this round. Returns whether the connection may get another request.
    func serve(_ request: RecordedRequest, on connection: LoopbackConnection) async throws -> Bool {
        let isFirst = state.withLock { state in
            defer { state.isPoisoned = true }
            return !state.isPoisoned
        }
        guard isFirst else {
            try await answer(request, on: connection)
            return true
        }
        if delay == .glued {
            try await answer(request, on: connection, glued: poison.bytes)
        } else {
            try await answer(request, on: connection)
        }
        defer { isClosed.open() }
        guard pace == .busy else {
            try await sendPoison(on: connection)
            try await expectSilence(on: connection)
            return false
        }
        // The poison comes while requests are answered.
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await self.sendPoison(on: connection)
                self.isOver.open()
            }
            group.addTask {
                while let request = try await connection.readRequest() {
                    try await self.answer(request, on: connection)
                }
            }
            while let result = await group.nextResult() {
                // The client may have closed before the poison was sent; that ends the round as well.
                if case .failure = result { break }
            }
            group.cancelAll()
        }
        isOver.open()
        return false
    }

    private func answer(
        _ request: RecordedRequest, on connection: LoopbackConnection, glued: String = ""
    ) async throws {
        let path = request.path
        try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(path.utf8.count)\r\n\r\n\(path)\(glued)")
        let now = MonotonicClock().now
        state.withLock { state in
            state.answers[path] = now
            if !glued.isEmpty { state.poisonSent = now }
        }
    }

    private func sendPoison(on connection: LoopbackConnection) async throws {
        guard delay != .glued else { return }
        // The delay is the subject of the round; the test does not wait for an event here.
        let clock = ContinuousClock()
        try await clock.sleep(for: .milliseconds(delay.rawValue), tolerance: .zero)
        try await connection.send(poison.bytes)
        let now = MonotonicClock().now
        state.withLock { $0.poisonSent = now }
    }

    /// The poison is at the client: nothing may be written after it.
    private func expectSilence(on connection: LoopbackConnection) async throws {
        if pace == .atArrival { isOver.open() }
        do {
            let close = try await connection.waitForClose()
            if close.byteCount > 0 { violated("wrote \(close.byteCount) bytes behind the poison") }
        } catch let error as WaitTimeout {
            violated("did not close: \(error)")
        }
        isOver.open()
    }
}

/// The rounds that a server is serving.
final class PoisonBook: Sendable {
    private let rounds = Guarded<[Int: PoisonRound]>([:])

    func open(_ round: PoisonRound) { rounds.withLock { $0[round.number] = round } }
    func close(_ round: PoisonRound) { _ = rounds.withLock { $0.removeValue(forKey: round.number) } }

    func round(of request: RecordedRequest) -> PoisonRound? {
        Int(request.path.dropFirst().prefix { $0 != "/" }).flatMap { number in rounds.withLock { $0[number] } }
    }
}
