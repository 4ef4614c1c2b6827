internal import Bowline
internal import BowlineTesting
internal import NIOCore

/// The program that makes the calls of a plan, and records how each ended.
// Safety: used on the simulation's thread only.
final class SimulationCaller: @unchecked Sendable {
    private let time: VirtualTime
    private let plan: SimulationPlan
    private let client: ServiceClient
    private let derived: ServiceClient
    private let events: SimulationEvents
    private(set) var records: [SimulationCallRecord]
    /// The tasks of the calls that have begun, by number.
    private var tasks: [Int: Task<SimulationTold, any Error>] = [:]

    init(_ time: VirtualTime, _ plan: SimulationPlan, client: ServiceClient, events: SimulationEvents) throws {
        self.time = time
        self.plan = plan
        self.client = client
        self.events = events
        derived = try client.with { $0.retry.maximumAttempts = 1 }
        records = plan.calls.map { SimulationCallRecord(call: $0) }
    }

    /// Makes one call, at its time.
    func make(_ call: SimulationCall) async {
        try? await time.sleep(untilElapsed: call.start)
        time.note("caller: \(call.method) \(call.number) begins")
        records[call.number].began = time.now
        events.hopBegan(call.number, 0)
        let task = time.startTask { await self.send(call) }
        tasks[call.number] = task
        let canceller = call.cancelAfter.map { delay in
            time.startTask {
                try await self.time.sleep(for: delay)
                self.cancel(call.number)
            }
        }
        let told = (try? await task.value) ?? .other("no outcome")
        canceller?.cancel()
        tasks[call.number] = nil
        records[call.number].ended = time.now
        records[call.number].endings += 1
        records[call.number].told = told
        time.note("caller: \(call.method) \(call.number) \(told)")
    }

    /// Cancels a call, if it is in flight.
    func cancel(_ number: Int) {
        guard let task = tasks[number] else { return }
        records[number].cancelled = time.now
        time.note("caller: \(number) is cancelled")
        task.cancel()
    }

    private func send(_ call: SimulationCall) async -> SimulationTold {
        var answer: SimulationAnswer?
        do {
            let response = try await (call.isDerived ? derived : client).send(request(call))
            records[call.number].requestsSent = response.requestsSent
            let got = Self.answer(response)
            answer = got
            return .answered(try await read(response, of: call, got))
        } catch is CancellationError {
            return answer.map { .cancelledInBody($0) } ?? .cancelled
        } catch let error as ServiceError {
            time.note("caller: \(call.number): \(error.message)")
            guard var answer else {
                records[call.number].requestsSent = error.requestsSent
                return .failed(code: error.code.rawValue, error.progress)
            }
            answer.bodyError = error.code.rawValue
            return .answered(answer)
        } catch {
            return .other("\(type(of: error)): \(error)")
        }
    }

    private func read(
        _ response: ServiceResponse, of call: SimulationCall, _ head: SimulationAnswer
    ) async throws -> SimulationAnswer {
        var answer = head
        switch call.reading {
        case .whole:
            let bytes = try await response.body.collect(upTo: 1 << 22)
            answer.add(bytes, of: call)
            answer.isWhole = true
        case .slow(let pause):
            var chunks = 0
            for try await chunk in response.body {
                answer.add(chunk, of: call)
                chunks += 1
                if chunks <= 20 { try await time.sleep(for: pause) }
            }
            answer.isWhole = true
        case .partial(let count):
            var chunks = response.body.makeAsyncIterator()
            for _ in 0..<count {
                guard let chunk = try await chunks.next() else { break }
                answer.add(chunk, of: call)
            }
        case .dropped(let pause): try await time.sleep(for: pause)
        }
        return answer
    }

    private static func answer(_ response: ServiceResponse) -> SimulationAnswer {
        func field(_ name: String) -> String? { HTTPField.Name(name).flatMap { response.receivedFields[$0] } }
        var answer = SimulationAnswer()
        answer.status = response.status.code
        answer.number = field(SimulationContent.numberField).flatMap { Int($0) }
        answer.saysExecuted = field(SimulationContent.executedField) == "yes"
        answer.isUntilClose = field(SimulationContent.framingField) == "untilClose"
        return answer
    }

    // MARK: Requests

    private func request(_ call: SimulationCall) -> ServiceRequest {
        var options = RequestOptions()
        if let total = call.total { options.timeouts.total = .limited(total) }
        if call.isMarkedIdempotent { options.idempotency = .idempotent }
        if call.isKeyed { options.makesIdempotencyKey = true }
        if call.expectsContinue { options.continueTimeout = .milliseconds(50) }
        options.allowsResend = call.allowsResend
        let host = plan.hosts.indices.contains(call.host) ? plan.hosts[call.host] : ""
        var request = ServiceRequest(
            method: call.method, "http://\(host):\(SimulationPlan.port)\(SimulationContent.target(call.number))",
            body: body(call), options: options)
        if let name = HTTPField.Name(SimulationContent.numberField) { request.fields[name] = "\(call.number)" }
        return request
    }

    private func body(_ call: SimulationCall) -> RequestBody {
        let bytes = SimulationContent.bytes(call.number, .request, count: call.bodyCount)
        let chunks = SimulationChunks(bytes: bytes, size: call.chunkSize, pause: call.chunkPause, time: time)
        switch call.body {
        case .none: return .none
        case .bytes: return .bytes(bytes)
        case .replayable(let isSized): return .replayable(length: isSized ? call.bodyCount : nil) { chunks }
        case .stream(let isSized): return .stream(chunks, length: isSized ? call.bodyCount : nil)
        }
    }
}

extension SimulationAnswer {
    /// Adds bytes of the body, and compares them with what the service has sent.
    fileprivate mutating func add(_ bytes: ByteBuffer, of call: SimulationCall) {
        if status == 200 {
            let expected = SimulationContent.bytes(call.number, .answer, from: received, count: bytes.readableBytes)
            if bytes != expected { isMatching = false }
        }
        received += bytes.readableBytes
    }
}

/// The chunks of a request's body, with a pause before each of the first 20.
private struct SimulationChunks: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    let bytes: ByteBuffer
    let size: Int
    let pause: Duration
    let time: VirtualTime

    struct AsyncIterator: AsyncIteratorProtocol {
        var rest: ByteBuffer
        let size: Int
        let pause: Duration
        let time: VirtualTime
        var chunks = 0

        mutating func next() async throws -> ByteBuffer? {
            guard rest.readableBytes > 0 else { return nil }
            chunks += 1
            if pause > .zero, chunks <= 20 { try await time.sleep(for: pause) }
            return rest.readSlice(length: Swift.min(size, rest.readableBytes))
        }
    }

    func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(rest: bytes, size: Swift.max(1, size), pause: pause, time: time)
    }
}
