internal import Synchronization

/// What a call knows of its way into the transport and back: what outsiders may believe about how far it got.
extension CallRecord {
    /// Numbers the failures of all transports, so that one cannot be taken for another's.
    private static let failures = Atomic(0)

    /// How often the request was given to a transport: whoever compares two moments knows whether the service may have seen
    /// it between them.
    package var timesSent: Int { sends.load(ordering: .relaxed) }

    /// How many requests were sent for the call: each attempt of each hop that was given to a transport, and what the transport
    /// sent again on its own.
    package var requestsSent: Int { timesSent + resends.load(ordering: .relaxed) }

    /// The transport sends the request again on its own.
    package func sentAgain() {
        resends.add(1, ordering: .relaxed)
    }

    /// The request goes to a transport: from here on the service may see it.
    func handOver() {
        sends.add(1, ordering: .relaxed)
        // What an earlier attempt failed with says nothing of this one, should middleware throw it again.
        lastFailure.store(0, ordering: .relaxed)
    }

    /// The transport has answered. What is left of the body it still brings, and ends by itself.
    func handBack(_ response: ServiceResponse, attempt: Int) {
        guard isWatched.load(ordering: .relaxed) else { return }
        let (_, returned) = returned.add(1, ordering: .relaxed)
        // Middleware may have several under way.
        guard returned == sends.load(ordering: .relaxed), response.body.isHere else { return }
        enter(.pipeline, attempt: attempt)
    }

    /// The transport has failed.
    ///
    /// - Returns: `error`, if it is one that says how far the request got: marked as what this call's transport said last.
    func handBack(_ error: any Error) -> any Error {
        if isWatched.load(ordering: .relaxed) { returned.add(1, ordering: .relaxed) }
        guard let failure = error as? ServiceError else { return error }
        return marked(failure)
    }

    /// `failure`, marked as what this call's transport, or its authenticator, said last.
    package func marked(_ failure: ServiceError) -> ServiceError {
        var failure = failure
        failure.requestsSent = requestsSent
        failure.transportFailure = Self.failures.add(1, ordering: .relaxed).newValue
        lastFailure.store(failure.transportFailure, ordering: .relaxed)
        return failure
    }

    /// Whether `error` is what this call's transport, or its authenticator, said last, and not something that middleware made,
    /// kept, or got from a request of its own.
    package func isOwnFailure(_ error: ServiceError) -> Bool {
        error.transportFailure != 0 && error.transportFailure == lastFailure.load(ordering: .relaxed)
    }

    /// Keeps a body that the transport has left to be sent again: if it is not, it is abandoned when the call ends, whatever
    /// middleware has made of the response.
    package func hold(_ body: RequestBody) {
        heldBodies.withLock { $0.append(body) }
        holdsBodies.store(true, ordering: .sequentiallyConsistent)
        if isOver { abandonHeldBodies() }
    }

    /// The body is being sent again: whoever sends it answers for it from now on, also after the call's end, because an upload
    /// goes on when a response came early.
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

    /// Somebody wants to know exactly when the transport has the call: see ``isInTransport``.
    package func watch() {
        isWatched.store(true, ordering: .relaxed)
    }

    /// Whether the transport has the call, and so ends it by itself when time is up. Without ``watch()`` also said of a call
    /// whose response has come back.
    package var isInTransport: Bool {
        guard phase != .pipeline, phase != .backoff else { return false }
        let returned = returned.load(ordering: .relaxed)
        return returned == 0 || returned < sends.load(ordering: .relaxed)
    }

    /// How far the request may have got, said by somebody outside the transport.
    var assumedProgress: RequestProgress {
        if phase == .receivingBody { return .responseStarted }
        return timesSent > 0 ? .ambiguous : .neverSent
    }
}
