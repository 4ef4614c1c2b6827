internal import BowlineCore
internal import BowlinePool
internal import NIOCore

extension Exchange {
    /// The response as the caller gets it.
    func response(
        head: HTTP1ResponseHead, body: ResponseBody, inbound: InboundResponse, sent: MonotonicInstant?
    ) -> ServiceResponse {
        var timings = PhaseTimings()
        timings.started = started
        timings.leased = lease.leased
        timings.sent = sent
        timings.firstByte = inbound.firstByte
        timings.head = inbound.headAt
        if lease.uses == 1 { timings.dial = connection.dialDuration }
        let facts = ConnectionFacts(
            id: connection.id.value,
            isReused: lease.isReused,
            requests: lease.uses,
            peer: connection.peer,
            protocolVersion: head.minorVersion == 0 ? .http1_0 : .http1_1
        )
        return ServiceResponse(
            status: head.status,
            receivedFields: head.fields,
            body: body,
            facts: ResponseFacts(
                connection: facts, attempts: attempt, resends: resends, timings: timings,
                informational: inbound.informational
            )
        )
    }

    /// What the errors of the response's body say about this exchange, without keeping it.
    var responseAttempt: ResponseAttempt {
        ResponseAttempt(
            origin: request.origin, number: attempt, started: started, isReused: lease.isReused,
            clock: connection.sweep.clock
        )
    }

    /// An error that says all that is known about this exchange.
    func error(
        _ code: ServiceError.Code, _ message: String, underlying: (any Error)? = nil,
        progress: RequestProgress = .neverSent
    ) -> ServiceError {
        var error = ServiceError(
            code, message, underlying: underlying, progress: progress, attempts: attempt,
            origin: request.origin.description, phase: call.phase
        )
        error.connectionWasReused = lease.isReused
        error.elapsed = started.duration(to: connection.sweep.now)
        return error
    }

    /// The error of a request that a shutdown's deadline has cut off.
    func forciblyClosed(progress: RequestProgress) -> ServiceError {
        error(
            .forciblyClosed, "cut off by a shutdown's deadline in phase \(call.phase), attempt \(attempt)",
            progress: progress
        )
    }
}
