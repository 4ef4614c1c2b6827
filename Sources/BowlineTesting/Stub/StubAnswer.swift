public import BowlineCore
public import NIOCore

/// What a ``StubTransport`` does with one request.
public struct StubAnswer: Sendable {
    enum Outcome: Sendable {
        /// Here at once.
        case ready(@Sendable () throws -> ServiceResponse)
        /// Made of the request, which may take its time.
        case made(@Sendable (StubbedCall) async throws -> StubAnswer)
    }

    /// What an answer waits for before its outcome.
    enum Wait: Sendable {
        case gate(Gate)
        case pause(Duration, any ServiceClock)
    }

    let readsBody: Bool
    let outcome: Outcome
    /// In the order in which they are waited for.
    private(set) var waits: [Wait] = []

    private init(readsBody: Bool = true, _ outcome: Outcome) {
        self.readsBody = readsBody
        self.outcome = outcome
    }

    /// Answers with what a closure makes of the request: any other answer. What the closure throws, `send` throws.
    ///
    /// - Parameter answer: Makes the answer; may wait. The request's limits count meanwhile, as with a service that is slow.
    public static func respond(
        with answer: @escaping @Sendable (StubbedCall) async throws -> StubAnswer
    ) -> StubAnswer {
        StubAnswer(.made(answer))
    }

    /// Answers with a response that is made already.
    ///
    /// - Parameter response: The response. Its body is read once, as any: where several requests get the answer, make a
    ///   response for each in a closure.
    public static func respond(_ response: ServiceResponse) -> StubAnswer {
        StubAnswer(.ready { response })
    }

    /// Answers with a body of text.
    public static func respond(
        _ status: HTTPResponse.Status = .ok, fields: HTTPFields = [:], body: String = "", trailers: HTTPFields? = nil
    ) -> StubAnswer {
        .respond(status, fields: fields, body: ByteBuffer(string: body), trailers: trailers)
    }

    /// Answers with a body of bytes.
    public static func respond(
        _ status: HTTPResponse.Status = .ok, fields: HTTPFields = [:], body: ByteBuffer, trailers: HTTPFields? = nil
    ) -> StubAnswer {
        StubAnswer(
            .ready {
                ServiceResponse(status: status, fields: fields, body: ResponseBody(body, trailers: trailers))
            })
    }

    /// Fails. The request's body is read first, unless the error's progress is `.neverSent`.
    public static func fail(_ error: ServiceError) -> StubAnswer {
        StubAnswer(readsBody: error.progress != .neverSent, .ready { throw error })
    }

    /// Fails with a code, as if the request had got so far.
    public static func fail(
        _ code: ServiceError.Code, progress: RequestProgress, message: String = "stubbed failure"
    ) -> StubAnswer {
        .fail(ServiceError(code, message, progress: progress))
    }

    /// This answer once `gate` is open.
    public func held(by gate: Gate) -> StubAnswer {
        waiting(for: .gate(gate))
    }

    /// This answer after a pause on `clock`.
    ///
    /// On the client's own clock, a limit that would pass first ends the pause: the clock has one sleeper, until the earlier of
    /// both.
    public func delayed(by pause: Duration, on clock: some ServiceClock) -> StubAnswer {
        waiting(for: .pause(pause, clock))
    }

    private func waiting(for wait: Wait) -> StubAnswer {
        var answer = self
        answer.waits.insert(wait, at: 0)
        return answer
    }
}
