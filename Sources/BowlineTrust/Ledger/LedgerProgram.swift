internal import Bowline
internal import BowlineTesting
internal import Logging
internal import NIOCore

/// The client program: makes the planned calls, and records what it sent and the outcome of each call.
struct LedgerProgram: Sendable {
    private let plan: LedgerPlan
    private let client: ServiceClient
    private let calls: LedgerCalls
    private let tasks: TaskCensus

    /// - Parameters:
    ///   - baseURL: The URL of the service, or of the path to it.
    ///   - tasks: Counts the calls that have a task.
    ///   - clock: The client's clock; nil: the default.
    init(_ plan: LedgerPlan, baseURL: String, calls: LedgerCalls, tasks: TaskCensus, clock: CountingClock?) throws {
        self.plan = plan
        self.calls = calls
        self.tasks = tasks
        client = try ServiceClient(baseURL: baseURL) { configuration in
            configuration.pool = plan.pool
            configuration.http2 = plan.http2
            configuration.retry = plan.retry
            configuration.timeouts = plan.timeouts
            configuration.proxy = plan.route.choice
            configuration.tls.trustRoots = .pem(TestCertificates.authority)
            // Most plans cancel calls, and a log line for each would hide the table.
            configuration.telemetry.logger = Logger(label: "ledger") { _ in SwiftLogNoOpLogHandler() }
            configuration.fields = Self.commonFields(plan)
            if let clock { configuration.clock = clock }
            configuration.random = SeededRandom(seed: plan.seed ^ UInt64(truncatingIfNeeded: plan.episode)).source()
        }
    }

    /// Makes all calls and shuts the client down: after the last call, or during the run if the plan says so.
    ///
    /// - Returns: the resources that the client has not released.
    func run() async -> LedgerRemains {
        let next = Counter()
        let shutdown = Gate(isOpen: plan.shutdownAfter == 0)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<max(1, plan.concurrency) {
                group.addTask {
                    while let request = next.take(plan.requests) {
                        let ended = await call(request)
                        if ended == plan.shutdownAfter { shutdown.open() }
                    }
                }
            }
            guard plan.shutdownAfter != nil else { return }
            group.addTask {
                guard (try? await shutdown.wait()) != nil else { return }
                calls.shuttingDown(within: plan.shutdownLimit)
                await client.shutdown(within: .milliseconds(plan.shutdownLimit))
            }
        }
        // Every call has ended, so this shutdown does not wait for calls.
        await client.shutdown(within: .seconds(5))
        return await remains()
    }

    /// With a ``CountingClock``, tasks are not counted here. Bowline's timers are tasks then, and one of them for each
    /// event loop runs until the client is released.
    private func remains() async -> LedgerRemains {
        var last: ShutdownProgress?
        for await progress in client.shutdownProgress { last = progress }
        let snapshot = client.pool.snapshot()
        var remains = LedgerRemains()
        remains.pooled = snapshot.idle + snapshot.active + snapshot.dialling + snapshot.waiting + snapshot.streams
        remains.inFlight = last?.inFlight ?? 0
        remains.isClosed = last?.state == .closed
        if plan.countsTimers { return remains }
        try? await eventually("the calls' tasks to end", within: .seconds(5)) { tasks.count == 0 }
        remains.tasks = tasks.count
        return remains
    }

    private static func commonFields(_ plan: LedgerPlan) -> HTTPFields {
        guard let name = HTTPField.Name(LedgerContent.episodeField) else { return [:] }
        return [name: "\(plan.episode)"]
    }

    /// Makes one call.
    ///
    /// - Returns: how many calls have ended.
    private func call(_ request: LedgerRequestPlan) async -> Int {
        let content = LedgerContent.body(of: request.id, .request, count: request.bodySize)
        var file: LedgerFile?
        if request.bodyKind == .file { file = try? LedgerFile(content) }
        defer { file?.remove() }
        let sent = makeSent(request, content)
        guard let message = try? await makeMessage(request, content, file) else {
            let number = calls.begin(sent, deadline: request.deadline)
            return calls.end(number, .other("the body could not be made"), requestsSent: nil)
        }
        let number = calls.begin(sent, deadline: request.deadline)
        guard let delay = request.cancelAfter else {
            let (told, requestsSent) = await send(message)
            return calls.end(number, told, requestsSent: requestsSent)
        }
        let task = Task { await send(message) }
        let canceller = Task {
            guard (try? await Task.sleep(for: .milliseconds(delay), tolerance: .zero)) != nil else { return }
            calls.cancelling(number)
            task.cancel()
        }
        let (told, requestsSent) = await task.value
        let ended = calls.end(number, told, requestsSent: requestsSent)
        canceller.cancel()
        // Waits for the canceller, so that a cancellation is recorded before the record is read.
        await canceller.value
        return ended
    }

    private func send(_ message: ServiceRequest) async -> (LedgerTold, requestsSent: Int?) {
        await tasks.counting { await outcome(of: message) }
    }

    private func outcome(of message: ServiceRequest) async -> (LedgerTold, requestsSent: Int?) {
        var response: ServiceResponse?
        do {
            let head = try await client.send(message)
            response = head
            let body = try await head.body.collect(upTo: 1 << 22)
            return (.answered(Self.answer(head, body)), head.requestsSent)
        } catch is CancellationError {
            return (.cancelled, response?.requestsSent)
        } catch let error as ServiceError {
            let told = LedgerTold.failed(
                code: error.code.rawValue, progress: error.progress, text: error.description)
            return (told, response?.requestsSent ?? error.requestsSent)
        } catch {
            return (.other("\(type(of: error)): \(error)"), nil)
        }
    }

    private static func answer(_ response: ServiceResponse, _ body: ByteBuffer) -> LedgerAnswer {
        func field(_ name: String) -> String? { HTTPField.Name(name).flatMap { response.receivedFields[$0] } }
        return LedgerAnswer(
            status: response.status.code, id: field(LedgerContent.idField).flatMap { LedgerContent.id($0) },
            saysExecuted: field(LedgerContent.executedField) == "yes", body: BodyDigest(body),
            hasItsFields: LedgerContent.hasItsLargeFields(response.fields), proxy: response.connection?.proxy)
    }

    private func makeSent(_ request: LedgerRequestPlan, _ content: ByteBuffer) -> LedgerSent {
        let hasBody = request.method != .head
        let answer = hasBody ? LedgerContent.body(of: request.id, .answer, count: request.answerSize) : ByteBuffer()
        let rejection = hasBody ? LedgerContent.rejection(of: request.id) : ByteBuffer()
        return LedgerSent(
            id: request.id, method: request.method, target: request.target,
            fields: LedgerContent.comparable(LedgerContent.fields(of: request))
                + LedgerContent.comparable(Self.commonFields(plan)),
            trailers: request.bodyKind == .trailed
                ? LedgerContent.comparable(LedgerContent.trailers(of: request.id)) : [],
            body: BodyDigest(content), isKeyed: request.isKeyed, isIdempotent: request.isIdempotent,
            answer: BodyDigest(answer), rejection: BodyDigest(rejection))
    }

    private func makeMessage(
        _ request: LedgerRequestPlan, _ content: ByteBuffer, _ file: LedgerFile?
    ) async throws -> ServiceRequest {
        var options = RequestOptions()
        options.timeouts.total = .milliseconds(request.deadline)
        options.allowsResend = request.allowsResend
        if request.isMarkedNotIdempotent { options.idempotency = .notIdempotent }
        if request.isKeyed { options.makesIdempotencyKey = true }
        if request.expectsContinue { options.continueTimeout = .milliseconds(50) }
        return ServiceRequest(
            method: request.method, request.target, fields: LedgerContent.fields(of: request),
            body: try await makeBody(request, content, file), options: options)
    }

    private func makeBody(
        _ request: LedgerRequestPlan, _ content: ByteBuffer, _ file: LedgerFile?
    ) async throws -> RequestBody {
        let chunks = LedgerChunks(
            body: content, size: request.chunkSize, pause: .milliseconds(request.chunkPause))
        let id = request.id
        switch request.bodyKind {
        case .none: return .none
        case .bytes: return .bytes(content)
        case .sizedStream: return .stream(chunks, length: content.readableBytes)
        case .stream: return .stream(chunks)
        case .replayable: return .replayable(length: content.readableBytes) { chunks }
        case .trailed: return RequestBody.replayable { chunks }.trailers { LedgerContent.trailers(of: id) }
        case .file:
            guard let file else { throw LedgerFile.NotWritten(path: "") }
            return try await .file(file.path)
        }
    }
}
