public import BowlineCore
public import NIOCore

/// How a ``StubTransport`` answers one request.
public struct StubAnswer: Sendable {
    enum Outcome: Sendable {
        /// The response is available at once.
        case ready(@Sendable () throws -> ServiceResponse)
        /// A closure makes the answer from the request. The closure may wait.
        case made(@Sendable (StubbedCall) async throws -> StubAnswer)
    }

    /// A condition that an answer waits for before its outcome.
    enum Wait: Sendable {
        case gate(Gate)
        case pause(Duration, any ServiceClock)
    }

    let readsBody: Bool
    let outcome: Outcome
    /// The waits of the answer, in the order in which it waits.
    private(set) var waits: [Wait] = []

    private init(readsBody: Bool = true, _ outcome: Outcome) {
        self.readsBody = readsBody
        self.outcome = outcome
    }

    /// Answers with the result of a closure, which receives the request. If the closure throws, `send` throws the same
    /// error.
    ///
    /// - Parameter answer: Makes the answer. It may wait; the request's limits apply meanwhile, as with a slow service.
    public static func respond(
        with answer: @escaping @Sendable (StubbedCall) async throws -> StubAnswer
    ) -> StubAnswer {
        StubAnswer(.made(answer))
    }

    /// Answers with an existing response.
    ///
    /// - Parameter response: The response. Its body can be read only once. If several requests get the answer, make a
    ///   response for each of them in a closure.
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

    /// Fails with an error. The stub reads the request's body first, unless the error's progress is `.neverSent`.
    public static func fail(_ error: ServiceError) -> StubAnswer {
        StubAnswer(readsBody: error.progress != .neverSent, .ready { throw error })
    }

    /// Fails with an error of this code and this progress.
    public static func fail(
        _ code: ServiceError.Code, progress: RequestProgress, message: String = "stubbed failure"
    ) -> StubAnswer {
        .fail(ServiceError(code, message, progress: progress))
    }

    /// Returns this answer, delayed until `gate` is open.
    public func held(by gate: Gate) -> StubAnswer {
        waiting(for: .gate(gate))
    }

    /// Returns this answer after a pause on `clock`.
    ///
    /// If `clock` is the client's own clock, a limit of the request that passes first ends the pause. The pause and the
    /// limit then share one sleeper on the clock, which sleeps until the earlier of the two instants.
    public func delayed(by pause: Duration, on clock: some ServiceClock) -> StubAnswer {
        waiting(for: .pause(pause, clock))
    }

    private func waiting(for wait: Wait) -> StubAnswer {
        var answer = self
        answer.waits.insert(wait, at: 0)
        return answer
    }
}
