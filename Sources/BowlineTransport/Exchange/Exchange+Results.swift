internal import BowlineCore
internal import NIOCore

extension Exchange {
    /// Makes the response that the caller gets.
    func response(
        _ head: ResponseHead, body: ResponseBody, arrival: ResponseArrival, stream: Int? = nil
    ) -> ServiceResponse {
        var timings = PhaseTimings()
        timings.started = started
        timings.leased = lease.leased
        timings.sent = arrival.sent
        timings.firstByte = arrival.firstByte
        timings.head = arrival.head
        if lease.uses == 1 { timings.dial = connection.dialDuration }
        let facts = connectionFacts(head.version, stream: stream)
        return ServiceResponse(
            status: head.status,
            receivedFields: head.fields,
            body: body,
            facts: ResponseFacts(
                connection: facts, attempts: attempt, resends: resends, timings: timings,
                informational: arrival.informational
            )
        )
    }

    private func connectionFacts(_ version: ConnectionFacts.ProtocolVersion, stream: Int?) -> ConnectionFacts {
        ConnectionFacts(
            id: connection.id.value,
            isReused: lease.isReused,
            requests: lease.uses,
            peer: connection.peer,
            protocolVersion: version,
            stream: stream
        )
    }

    /// The facts about this exchange that errors of the response's body contain. They do not keep the exchange alive.
    var responseAttempt: ResponseAttempt {
        ResponseAttempt(
            origin: request.origin, number: attempt, started: started,
            isReused: lease.isReused, clock: connection.sweep.clock
        )
    }

    /// Makes the outcome of a failure, with all that is known about this exchange. Call it on the connection's event
    /// loop.
    func outcome(
        _ code: ServiceError.Code, _ message: String, underlying: (any Error)? = nil,
        progress: RequestProgress = .neverSent, connection fate: TransportOutcome.Connection = .ordinary
    ) -> TransportOutcome {
        let facts =
            connection.isMultiplexed
            ? connectionFacts(.http2, stream: streamID == 0 ? nil : streamID) : connectionFacts(.http1_1, stream: nil)
        return TransportOutcome(
            code: code, message: message, underlying: underlying, progress: progress, connection: fate,
            phase: call.phase, facts: facts, elapsed: started.duration(to: connection.sweep.now)
        )
    }

    /// Makes the outcome of a request that a shutdown's deadline has cut off.
    func forciblyClosed(progress: RequestProgress) -> TransportOutcome {
        outcome(
            .forciblyClosed, "cut off by a shutdown's deadline in phase \(call.phase), attempt \(attempt)",
            progress: progress
        )
    }
}
