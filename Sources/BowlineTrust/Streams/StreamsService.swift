internal import Bowline
internal import BowlineTesting
internal import NIOCore

/// Drives a ``StreamsPeer`` on each connection of a server, and records the executed requests.
final class StreamsService: Sendable {
    private struct State: Sendable {
        var executions: [UInt8]
        var figures = StreamsFigures()
        var problems: [String] = []
    }

    private let seed: UInt64
    private let requests: Int
    private let streams: Int
    private let state: Guarded<State>

    /// - Parameters:
    ///   - seed: The seed that the peers draw from.
    ///   - requests: How many requests there are.
    ///   - streams: How many streams a connection has.
    init(seed: UInt64, requests: Int, streams: Int) {
        self.seed = seed
        self.requests = requests
        self.streams = streams
        state = Guarded(State(executions: [UInt8](repeating: 0, count: requests)))
    }

    /// How often each request was executed, by the request's number.
    var executions: [UInt8] { state.withLock { $0.executions } }
    var figures: StreamsFigures { state.withLock { $0.figures } }
    /// The client's faults, as the peers saw them.
    var problems: [String] { state.withLock { $0.problems } }

    /// Speaks HTTP/2 on a connection until it ends.
    func serve(_ connection: LoopbackConnection) async throws {
        var peer = StreamsPeer(seed: seed, connection: connection.number, requests: requests, streams: streams)
        defer { ended(peer, connection.number) }
        var reader = HTTP2WireReader()
        try await connection.send(Self.bytes(of: peer.begin()))
        while true {
            let bytes = try await connection.read()
            guard bytes.readableBytes > 0 else { return }
            reader.append(bytes)
            var immediate: [HTTP2WireFrame] = []
            while let frame = reader.next() {
                let fields = frame.kind == .headers ? try reader.fields(of: frame) : []
                immediate += peer.received(frame, fields)
            }
            let turn = peer.endTurn()
            if try await act(turn, after: immediate, on: connection) { return }
            guard turn.pause > 0 else { continue }
            try await Task.sleep(for: .milliseconds(turn.pause), tolerance: .zero)
            if try await act(peer.pauseEnded(), after: [], on: connection) { return }
        }
    }

    /// Performs the actions of a turn.
    ///
    /// - Returns: whether the connection has ended.
    private func act(
        _ turn: StreamsPeer.Turn, after immediate: [HTTP2WireFrame], on connection: LoopbackConnection
    ) async throws -> Bool {
        state.withLock { state in
            for number in turn.executed where state.executions[number] < .max { state.executions[number] += 1 }
        }
        try await connection.send(Self.bytes(of: immediate + turn.frames))
        switch turn.end {
        case nil: return false
        case .cut: try await connection.reset()
        case .finished:
            // Reads what the client still sends. Otherwise the system would reset the connection, and answers might be
            // lost.
            try await connection.halfClose()
            try await connection.waitForClose(timeout: .seconds(30))
        }
        return true
    }

    private func ended(_ peer: StreamsPeer, _ connection: Int) {
        state.withLock { state in
            state.figures += peer.figures
            guard state.problems.count < 20 else { return }
            state.problems += peer.problems.map { "connection \(connection): \($0)" }
        }
    }

    private static func bytes(of frames: [HTTP2WireFrame]) -> ByteBuffer {
        var bytes = ByteBuffer()
        for frame in frames { bytes.writeImmutableBuffer(frame.bytes) }
        return bytes
    }
}
