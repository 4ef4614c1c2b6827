internal import Synchronization

/// Counts how often a call's requests enter the transport and return from it.
extension CallRecord {
    /// How many requests were sent for the call: each attempt of each hop that was given to a transport, and each
    /// resend by the transport.
    package var requestsSent: Int {
        sends.load(ordering: .relaxed) + resends.load(ordering: .relaxed)
    }

    /// Counts a resend by the transport.
    package func sentAgain() {
        resends.add(1, ordering: .relaxed)
    }

    /// Counts a request that is given to a transport: from now on the service may see it.
    package func transportBegan() {
        sends.add(1, ordering: .relaxed)
    }

    /// Counts a response that a transport returned. The transport still delivers the rest of the body, and ends the
    /// body at the deadline.
    package func transportAnswered(_ response: ServiceResponse, attempt: Int) {
        guard countsReturns.load(ordering: .relaxed) else { return }
        let (_, returned) = returned.add(1, ordering: .relaxed)
        // Middleware may have several requests in flight. The call is outside the transport only when all have
        // returned.
        guard returned == sends.load(ordering: .relaxed), response.body.isInMemory else { return }
        enter(.pipeline, attempt: attempt)
    }

    /// Counts a request that a transport failed.
    ///
    /// - Returns: `error`, with the number of requests that were sent for the call.
    package func transportFailed(_ error: any Error) -> any Error {
        if countsReturns.load(ordering: .relaxed) { returned.add(1, ordering: .relaxed) }
        guard var failure = error as? ServiceError else { return error }
        failure.requestsSent = requestsSent
        return failure
    }

    /// Keeps a body that the transport may send again. If it is not sent again, the body is abandoned when the call
    /// ends, even if middleware has replaced the response.
    package func hold(_ body: RequestBody) {
        heldBodies.withLock { $0.append(body) }
        holdsBodies.store(true, ordering: .sequentiallyConsistent)
        if isOver { abandonHeldBodies() }
    }

    /// Stops holding a body, because it is being sent again. From now on the exchange that sends the body also ends it,
    /// perhaps after the call's end: an upload can go on after an early response.
    package func takeBack(_ body: RequestBody) {
        guard holdsBodies.load(ordering: .relaxed) else { return }
        heldBodies.withLock { $0.removeAll { $0.isSameStream(as: body) } }
    }

    @inline(never)
    func abandonHeldBodies() {
        let bodies = heldBodies.withLock { bodies in
            defer { bodies = [] }
            return bodies
        }
        for body in bodies { body.abandon() }
    }

    /// Makes the call count the transport's responses and failures. ``isInTransport`` needs these counts.
    package func countReturns() {
        countsReturns.store(true, ordering: .relaxed)
    }

    /// Whether the call is in the transport. Then the transport ends the call at its deadline. The value is exact only
    /// after ``countReturns()``. Without it, the value is also true for a call that has its response already.
    package var isInTransport: Bool {
        guard phase != .pipeline, phase != .backoff else { return false }
        let returned = returned.load(ordering: .relaxed)
        return returned == 0 || returned < sends.load(ordering: .relaxed)
    }

    /// The furthest progress that the request may have made. It is for errors that do not come from the transport,
    /// because only the transport knows the exact progress.
    var assumedProgress: RequestProgress {
        if phase == .receivingBody { return .responseStarted }
        return sends.load(ordering: .relaxed) > 0 ? .ambiguous : .neverSent
    }
}
