internal import Bowline

/// Makes the calls of a scenario and keeps their outcomes.
final class SilenceCaller: Sendable {
    private struct State: Sendable {
        var calls: [SilenceCall] = []
        var nextCall = 0
        /// The calls that have received a part of a response body or sent a part of a request body.
        var underWay: Set<Int> = []
        var areUploadsOver = false
    }

    /// How many bytes of a request body must be sent before an upload counts as under way.
    private static let begunUpload = 262_144

    private let client: ServiceClient
    private let state = Guarded(State())
    private let clock = MonotonicClock()

    init(_ client: ServiceClient) {
        self.client = client
    }

    var calls: [SilenceCall] { state.withLock { $0.calls } }
    /// How many calls have received a part of a response body or sent a part of a request body.
    var underWay: Int { state.withLock { $0.underWay.count } }

    /// Ends the bodies of all uploads.
    func endUploads() {
        state.withLock { $0.areUploadsOver = true }
    }

    /// Whether each of these workers has had a successful call that ended at `moment` or later.
    func haveSucceeded(workers: Int, since moment: MonotonicInstant) -> Bool {
        let succeeded = state.withLock { state in
            Set(state.calls.filter { $0.hasSucceeded && $0.ended >= moment }.map(\.worker))
        }
        return succeeded.count >= workers
    }

    /// Makes a call and keeps its outcome.
    func call(_ route: SilenceService.Route, _ method: HTTPRequest.Method, worker: Int) async {
        let number = nextNumber()
        let request = request(route, method, number)
        let isIdempotent = request.isIdempotent
        let began = clock.now
        let outcome: SilenceCall.Outcome
        do {
            outcome = try await send(request, route, number)
        } catch {
            outcome = .failure(SilenceFailure(error))
        }
        let call = SilenceCall(
            worker: worker, isIdempotent: isIdempotent, began: began, ended: clock.now, outcome: outcome)
        state.withLock { $0.calls.append(call) }
    }

    /// Makes a call that is sent only once, without keeping its outcome.
    ///
    /// - Parameters:
    ///   - route: How the service answers the call.
    ///   - limit: The timeout of the response head.
    /// - Returns: whether the call was answered.
    func probe(_ route: SilenceService.Route, within limit: Duration) async -> Bool {
        let number = nextNumber()
        var request = request(route, .get, number)
        request.options.retry = .never
        request.options.allowsResend = false
        request.options.timeouts.responseHead = .limited(limit)
        guard let outcome = try? await send(request, route, number) else { return false }
        return outcome == .success(requestsSent: 1)
    }

    private var areUploadsOver: Bool { state.withLock { $0.areUploadsOver } }

    private func noteUnderWay(_ number: Int) {
        state.withLock { _ = $0.underWay.insert(number) }
    }

    private func nextNumber() -> Int {
        state.withLock { state in
            state.nextCall += 1
            return state.nextCall
        }
    }

    private func request(
        _ route: SilenceService.Route, _ method: HTTPRequest.Method, _ number: Int
    ) -> ServiceRequest {
        var request = ServiceRequest(method: method, "\(route.rawValue)?call=\(number)")
        guard route == .upload else {
            if method == .post { request.body = .text("x") }
            return request
        }
        request.body = .replayable { UploadChunks { self.areUploadsOver } }
        request.options.onUploadProgress = { progress in
            guard progress.bytes >= Self.begunUpload else { return }
            self.noteUnderWay(number)
        }
        return request
    }

    private func send(
        _ request: ServiceRequest, _ route: SilenceService.Route, _ number: Int
    ) async throws -> SilenceCall.Outcome {
        let response = try await client.send(request)
        guard response.status == .ok else {
            return .failure(SilenceFailure(code: "status \(response.status.code)", progress: "responseStarted"))
        }
        let requestsSent = response.requestsSent
        var body = ByteBuffer()
        for try await var chunk in response.body {
            if body.readableBytes == 0, route == .body { noteUnderWay(number) }
            body.writeBuffer(&chunk)
        }
        guard String(buffer: body) == SilenceService.answer(route, number) else {
            return .failure(SilenceFailure(code: "answer of another call", progress: "responseStarted"))
        }
        return .success(requestsSent: requestsSent)
    }
}
