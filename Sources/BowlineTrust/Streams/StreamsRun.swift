internal import Bowline
internal import BowlineTesting
internal import BowlineTransport
internal import Logging
internal import NIOCore
internal import Synchronization

/// A run of many requests with one connection at a time. The stream numbers of each connection soon run out. The peer
/// pauses, changes its settings and goes away.
final class StreamsRun: Sendable {
    private struct State: Sendable {
        var told: [StreamsTold]
        var errors: [String] = []
        var ended = 0
    }

    /// How many streams a connection has before its numbers run out.
    static let streams = 250
    /// How many errors are described.
    private static let errorLimit = 10

    private let seed: UInt64
    private let workers: Int
    private let client: ServiceClient
    private let next = Atomic(0)
    private let state: Guarded<State>

    private init(seed: UInt64, requests: Int, workers: Int, client: ServiceClient) {
        self.seed = seed
        self.workers = workers
        self.client = client
        state = Guarded(State(told: [StreamsTold](repeating: .nothing, count: requests)))
    }

    /// Makes all requests.
    ///
    /// - Parameter progress: Called with the run before its first request.
    /// - Throws: the errors of starting the server or the client.
    static func run(
        seed: UInt64, requests: Int, workers: Int, progress: (StreamsRun) -> Void = { _ in }
    ) async throws -> StreamsRecord {
        let service = StreamsService(seed: seed, requests: requests, streams: streams)
        var options = LoopbackServer.Options()
        options.keepsRecords = false
        let server = try await LoopbackServer.start(options)
        server.onConnection { try await service.serve($0) }
        do {
            let client = try client(of: server, seed: seed)
            let run = StreamsRun(seed: seed, requests: requests, workers: workers, client: client)
            progress(run)
            await run.call()
            await client.shutdown(within: .seconds(5))
            // Stops the server before the record is read: the peers' figures are complete when their scripts have
            // ended.
            await server.stop()
            return run.record(service)
        } catch {
            await server.stop()
            throw error
        }
    }

    private static func client(of server: LoopbackServer, seed: UInt64) throws -> ServiceClient {
        var http2 = HTTP2Options()
        http2.negotiation = .http2Only
        http2.maximumConnectionsPerOrigin = 1
        var options = TransportOptions()
        options.http2 = http2
        options.http2FirstStreamID = StreamsPeer.lastID - 2 * (streams - 1)
        return try ServiceClient(baseURL: server.baseURL, transport: PooledTransport(options: options)) {
            $0.timeouts.poolAcquire = .seconds(30)
            $0.timeouts.total = .seconds(60)
            // The peer may refuse, ignore or cut each attempt, but practically never ten attempts in a row.
            $0.retry.maximumAttempts = 10
            $0.retry.baseDelay = .milliseconds(1)
            $0.retry.throttledBaseDelay = .milliseconds(1)
            $0.retry.maximumDelay = .milliseconds(10)
            $0.retry.budget = nil
            $0.random = SeededRandom(seed: seed).source()
            $0.telemetry.logger = Logger(label: "streams") { _ in SwiftLogNoOpLogHandler() }
        }
    }

    private func record(_ service: StreamsService) -> StreamsRecord {
        let (told, errors) = state.withLock { ($0.told, $0.errors) }
        var record = StreamsRecord(seed: seed, workers: workers, told: told, executions: service.executions)
        record.figures = service.figures
        record.problems = service.problems
        record.errors = errors
        return record
    }

    /// How many calls have ended, for the message of a run that hangs.
    var ended: Int { state.withLock { $0.ended } }

    private func call() async {
        let requests = state.withLock { $0.told.count }
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<workers {
                group.addTask {
                    while let number = self.takeNumber(below: requests) {
                        await self.call(StreamsCall(seed: self.seed, number: number))
                    }
                }
            }
        }
    }

    private func takeNumber(below requests: Int) -> Int? {
        let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
        return number < requests ? number : nil
    }

    private func call(_ call: StreamsCall) async {
        var told = StreamsTold.other
        var text: String?
        do {
            told = try await send(call)
        } catch let error as ServiceError {
            told = .failed(error.progress)
            text = error.description
        } catch {
            text = "\(type(of: error))"
        }
        let (outcome, description) = (told, text)
        state.withLock { state in
            state.told[call.number] = outcome
            state.ended += 1
            if let description, state.errors.count < Self.errorLimit {
                state.errors.append("\(call.method) \(call.number): \(description)")
            }
        }
    }

    private func send(_ call: StreamsCall) async throws -> StreamsTold {
        var request = ServiceRequest(method: call.method, call.target)
        if let name = HTTPField.Name(StreamsCall.numberField) { request.fields[name] = "\(call.number)" }
        if call.bodyCount > 0 { request.body = .bytes(call.body) }
        let response = try await client.send(request)
        let number = HTTPField.Name(StreamsCall.numberField).flatMap { response.receivedFields[$0] }
        let body = try await response.body.collect(upTo: StreamsCall.longestAnswer)
        let isOwn = response.status == .ok && number == "\(call.number)" && body == call.answer
        return isOwn ? .answered : .wrongAnswer
    }
}
