public import BowlineCore
public import NIOCore

/// What a ``StubTransport`` does with one request.
public struct StubAnswer: Sendable {
    let readsBody: Bool
    let answer: @Sendable (StubbedCall) async throws -> ServiceResponse

    private init(readsBody: Bool, _ answer: @escaping @Sendable (StubbedCall) async throws -> ServiceResponse) {
        self.readsBody = readsBody
        self.answer = answer
    }

    /// Answers with what a function makes of the request.
    public static func respond(
        with answer: @escaping @Sendable (StubbedCall) async throws -> ServiceResponse
    ) -> StubAnswer {
        StubAnswer(readsBody: true, answer)
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
        .respond { _ in
            ServiceResponse(status: status, fields: fields, body: ResponseBody(body, trailers: trailers))
        }
    }

    /// Fails. The request's body is read first, unless the error's progress is `.neverSent`.
    public static func fail(_ error: ServiceError) -> StubAnswer {
        StubAnswer(readsBody: error.progress != .neverSent) { _ in throw error }
    }

    /// Fails with a code, as if the request had got so far.
    public static func fail(
        _ code: ServiceError.Code, progress: RequestProgress, message: String = "stubbed failure"
    ) -> StubAnswer {
        .fail(ServiceError(code, message, progress: progress))
    }

    /// This answer once `gate` is open.
    public func held(by gate: Gate) -> StubAnswer {
        StubAnswer(readsBody: readsBody) { [answer] call in
            try await gate.wait()
            return try await answer(call)
        }
    }

    /// This answer after a pause on `clock`.
    public func delayed(by pause: Duration, on clock: some ServiceClock) -> StubAnswer {
        StubAnswer(readsBody: readsBody) { [answer] call in
            try await clock.sleep(until: clock.now.advanced(by: pause), tolerance: nil)
            return try await answer(call)
        }
    }
}
