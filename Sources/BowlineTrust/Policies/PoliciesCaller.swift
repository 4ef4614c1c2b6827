internal import Bowline
internal import BowlineTesting
internal import NIOCore

/// The program that makes the calls of a plan, and records how each ended.
// Safety: used on the simulation's thread only.
final class PoliciesCaller: @unchecked Sendable {
    private let plan: PoliciesPlan
    private let log: PoliciesLog
    private let clients: [PoliciesCall.Maker: ServiceClient]
    private(set) var records: [PoliciesCallRecord]

    private var time: VirtualTime { log.time }

    init(_ plan: PoliciesPlan, _ log: PoliciesLog, client: ServiceClient) throws {
        self.plan = plan
        self.log = log
        clients = [
            .client: client,
            .withoutRetries: try client.with { $0.retry.maximumAttempts = 1 },
            .withoutPolicies: try client.with { $0.resilience = .off },
        ]
        records = plan.calls.map { PoliciesCallRecord(call: $0) }
    }

    /// Makes one call, at its time.
    func make(_ call: PoliciesCall) async {
        try? await time.sleep(untilElapsed: call.start)
        let number = call.number
        time.note("caller: \(call.method) \(number) begins, scope \(call.scope ?? "-")")
        log.add(.callBegan(number))
        records[number].began = time.now
        let work = time.startTask { await self.told(call) }
        var timer: VirtualTimer?
        if let delay = call.cancelAfter {
            timer = time.schedule(at: time.now.advanced(by: delay)) { [self] in
                guard records[number].ended == nil else { return }
                records[number].cancelled = time.now
                time.note("caller: \(number) is cancelled")
                work.cancel()
            }
        }
        let told = (try? await work.value) ?? .other("no outcome")
        timer?.cancel()
        records[number].endings += 1
        records[number].told = told
        time.note("caller: \(call.method) \(number) \(told)")
    }

    private func told(_ call: PoliciesCall) async -> PoliciesTold {
        let told: PoliciesTold
        if let inherited = call.inherited {
            let deadline = Deadline.after(inherited, clock: time.clock)
            told = await Deadline.with(deadline) { await send(call) }
        } else {
            told = await send(call)
        }
        records[call.number].ended = time.now
        return told
    }

    private func send(_ call: PoliciesCall) async -> PoliciesTold {
        let fallback = FallbackError()
        guard let client = clients[call.maker] else { return .other("no client") }
        do {
            let response = try await client.send(request(call, fallback))
            if let failure = fallback.failure { return .fellBack(failure) }
            return .answered(try await read(response, of: call))
        } catch is CancellationError {
            return .cancelled
        } catch let error as ServiceError {
            return .failed(PoliciesFailure(error))
        } catch {
            return .other("\(type(of: error)): \(error)")
        }
    }

    /// - Throws: `CancellationError`.
    private func read(_ response: ServiceResponse, of call: PoliciesCall) async throws -> PoliciesAnswer {
        var answer = PoliciesAnswer()
        answer.status = response.status.code
        answer.requestsSent = response.requestsSent
        answer.number = HTTPField.Name(SimulationContent.numberField)
            .flatMap { response.receivedFields[$0] }.flatMap { Int($0) }
        guard call.readsBody else { return answer }
        do {
            _ = try await response.body.collect(upTo: 1 << 16)
        } catch let error as ServiceError {
            answer.bodyError = error.code.rawValue
        }
        return answer
    }

    private func request(_ call: PoliciesCall, _ fallback: FallbackError) -> ServiceRequest {
        var options = RequestOptions()
        if let total = call.total { options.timeouts.total = .limited(total) }
        if call.isMarkedIdempotent { options.idempotency = .idempotent }
        if call.isKeyed { options.makesIdempotencyKey = true }
        options.retry.maximumAttempts = call.maximumAttempts
        if call.isWithoutHedges { options.hedging = .unlimited }
        options.policyScope = call.scope
        options.priority = call.priority
        if call.hasFallback {
            options.fallback = { error in
                fallback.failure = PoliciesFailure(error)
                return ServiceResponse(status: .ok, body: ResponseBody(ByteBuffer(string: "fallback")))
            }
        }
        let host = plan.hosts.indices.contains(call.host) ? plan.hosts[call.host] : plan.hosts[0]
        return ServiceRequest(
            method: call.method, PoliciesPlan.origin(of: host) + SimulationContent.target(call.number),
            body: body(call), options: options)
    }

    private func body(_ call: PoliciesCall) -> RequestBody {
        let bytes = SimulationContent.bytes(call.number, .request, count: 20)
        switch call.body {
        case .none: return .none
        case .bytes: return .bytes(bytes)
        case .stream:
            let (chunks, continuation) = AsyncStream.makeStream(of: ByteBuffer.self)
            continuation.yield(bytes)
            continuation.finish()
            return .stream(chunks)
        }
    }
}

/// The error that a fallback got.
// Safety: used on the simulation's thread only.
private final class FallbackError: @unchecked Sendable {
    var failure: PoliciesFailure?
}

extension PoliciesFailure {
    fileprivate init(_ error: ServiceError) {
        self.init(
            code: error.code.rawValue, progress: error.progress, requestsSent: error.requestsSent,
            refusal: error.refusal, retryAfter: error.retryAfter)
    }
}
