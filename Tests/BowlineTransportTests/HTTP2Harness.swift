import BowlineCore
import BowlineTesting
import NIOCore
import NIOEmbedded
import Testing

@testable import BowlineTransport

/// A real HTTP/2 connection without a socket, in a test's own time; the test is its peer, frame by frame.
final class HTTP2Harness: Sendable {
    let channel = NIOAsyncTestingChannel()
    let clock = TestClock(start: MonotonicInstant(nanoseconds: 1_000_000_000))
    let connection: HTTP2Connection
    /// The calls of the connection to its pool and its requests, in order.
    let log = RecordingOwner()
    private let reader = Guarded(HTTP2WireReader())
    /// Compares every request that the connection writes with what it was to send, when the harness finishes.
    private let ledger = Guarded(HTTP2HarnessLedger())

    /// A connection that has the peer's settings.
    ///
    /// - Parameter acknowledges: Whether the peer has acknowledged the client's.
    init(
        settings: [(UInt16, UInt32)] = [], acknowledges: Bool = true,
        connection connectionOptions: ConnectionOptions = ConnectionOptions(),
        configure: (inout HTTP2Options) -> Void = { _ in }
    ) async throws {
        let log = log
        var options = HTTP2Options()
        configure(&options)
        let (channel, clock) = (channel, clock)
        connection = try await channel.testingEventLoop.executeInContext { [options] in
            HTTP2Connection(
                ConnectionTraits(
                    id: ConnectionID(1), affinity: 0, channel: channel, peer: "peer", isTLS: false,
                    dialTimings: DialTimings(total: .zero),
                    sweep: DeadlineSweep(timer: LoopTimer(eventLoop: channel.eventLoop, clock: UnhurriedClock(clock))),
                    executor: EventLoopTaskExecutor(channel.eventLoop),
                    originLink: OriginLink(options: connectionOptions, owner: log)),
                http2: options, firstStreamID: 1)
        }
        try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 80)).get()
        let connection = connection
        try await channel.testingEventLoop.executeInContext {
            try connection.begin(before: .distantFuture) { _, result in
                log.note(result.isSuccess ? "ready" : "failed")
            }
        }
        try await receive(.settings(settings))
        if acknowledges { try await receive(.settingsAcknowledgement) }
        _ = try await frames()
        #expect(entries().first == "ready")
    }

    // MARK: The peer

    /// The connection reads these frames at once.
    func receive(_ frames: HTTP2WireFrame...) async throws {
        var bytes = ByteBuffer()
        for frame in frames { bytes.writeImmutableBuffer(frame.bytes) }
        try await channel.writeInbound(bytes)
        await channel.testingEventLoop.run()
    }

    /// Sends a complete response to a request.
    func reply(_ status: String = "200", on stream: Int) async throws {
        let section = HTTP2WireField.section([.init(":status", status)])
        try await receive(
            HTTP2WireFrame(.headers, flags: HTTP2WireFrame.endHeaders | HTTP2WireFrame.endStream, on: stream, section))
    }

    /// The frames that the connection has written since the last call.
    func frames() async throws -> [HTTP2WireFrame] {
        for bytes in try await writes() { reader.withLock { $0.append(bytes) } }
        return reader.withLock { reader in
            var frames: [HTTP2WireFrame] = []
            while let frame = reader.next() { frames.append(frame) }
            return frames
        }
    }

    /// The same, write by write, when the loop has done what is due. What this returns is not among the ``frames()``.
    func writes() async throws -> [ByteBuffer] {
        await channel.testingEventLoop.run()
        var writes: [ByteBuffer] = []
        while let bytes = try await channel.readOutbound(as: ByteBuffer.self) {
            ledger.withLock { $0.written(bytes) }
            writes.append(bytes)
        }
        return writes
    }

    /// The field sections that the connection has written since the last call, by the peer's own table.
    func sections() async throws -> [[HTTP2WireField]] {
        let frames = try await frames()
        return try reader.withLock { reader in
            try frames.filter { $0.kind == .headers }.map { try reader.fields(of: $0) }
        }
    }

    func fields(of frame: HTTP2WireFrame) throws -> [HTTP2WireField] {
        try reader.withLock { try $0.fields(of: frame) }
    }

    /// Sets whether the kernel accepts bytes.
    func setWritable(_ isWritable: Bool) async throws {
        let channel = channel
        try await channel.testingEventLoop.executeInContext {
            channel.isWritable = isWritable
            channel.pipeline.fireChannelWritabilityChanged()
        }
        await channel.testingEventLoop.run()
    }

    // MARK: The requests

    /// Leases the connection for a request, which has come to it when this returns.
    ///
    /// - Parameter streamed: What the request's body yields if it is a `.stream`: it cannot be read again to be compared.
    func send(
        _ request: ServiceRequest, streamed: ByteBuffer? = nil, timeouts: Timeouts = Timeouts(),
        deadline: Duration? = nil
    ) async throws -> HTTP2HarnessCall {
        let exchange = try makeExchange(request, streamed: streamed, timeouts, deadline: deadline)
        let log = log
        let call = Task {
            do {
                let response = try await exchange.run()
                log.note("\(request.reference): \(response.status.code)")
                return response
            } catch {
                log.note("\(request.reference): failed")
                throw error
            }
        }
        let connection = connection
        try await eventually("the request came to the connection") { [self] in
            try await onLoop {
                exchange.streamID != 0 || exchange.isOver || connection.table.held.contains { $0.exchange === exchange }
            }
        }
        return HTTP2HarnessCall(exchange: exchange, task: call)
    }

    func makeExchange(
        _ request: ServiceRequest, streamed: ByteBuffer? = nil, _ timeouts: Timeouts = Timeouts(),
        deadline: Duration? = nil
    ) throws -> Exchange {
        let deadline = deadline.map { Deadline(clock.now.advanced(by: $0)) }
        let exchange = Exchange(
            request: try PreparedRequest(
                request, context: RequestContext(deadline: deadline, timeouts: timeouts), started: clock.now,
                isPooled: true),
            connection: connection,
            lease: Exchange.LeaseFacts(isReused: true, uses: 2, wasIdle: true, leased: clock.now),
            resends: 0, options: ConnectionOptions())
        ledger.withLock { $0.asked(request, streamed: streamed, for: exchange) }
        return exchange
    }

    func onLoop<Result: Sendable>(_ action: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await channel.testingEventLoop.executeInContext(action)
    }

    /// The entries since the last call.
    func entries() -> [String] {
        log.take()
    }

    /// Moves the time from one deadline to the next, and runs the work due at each.
    func advance(by duration: Duration) async throws {
        let end = clock.now.advanced(by: duration)
        let (connection, clock) = (connection, clock)
        var isDone = false
        while !isDone {
            isDone = try await onLoop {
                let streams = connection.table.streams + connection.table.held
                let entries: [any DeadlineEntry] = [connection] + streams
                let due = !connection.machine.isClosed ? entries.filter { $0.deadline <= end } : []
                guard let first = due.min(by: { $0.deadline < $1.deadline }) else { return true }
                clock.advance(to: first.deadline)
                first.deadlinePassed(now: clock.now)
                return false
            }
            await channel.testingEventLoop.run()
        }
        clock.advance(to: end)
    }

    func finish(sourceLocation: SourceLocation = #_sourceLocation) async {
        let connection = connection
        _ = try? await writes()
        var differences = ledger.withLock { $0.problems }
        let comparisons = try? await onLoop { [self] in ledger.withLock { $0.comparisons() } }
        if comparisons == nil { differences.append("the loop has ended") }
        for comparison in comparisons ?? [] { differences += await HTTP2HarnessLedger.differences(in: comparison) }
        #expect(differences == [], sourceLocation: sourceLocation)
        try? await onLoop { connection.close(.forced) }
        _ = try? await channel.finish(acceptAlreadyClosed: true)
    }
}

/// A request that a test has in flight.
struct HTTP2HarnessCall {
    let exchange: Exchange
    let task: Task<ServiceResponse, any Error>

    var error: TransportOutcome? {
        get async {
            guard case .failure(let error) = await task.result else { return nil }
            return error as? TransportOutcome
        }
    }
}

extension Result {
    fileprivate var isSuccess: Bool {
        if case .success = self { true } else { false }
    }
}
