internal import Bowline

/// The result of one request.
struct Outcome: Sendable {
    /// Whether the request succeeded, failed or was refused.
    enum Verdict: Sendable, Hashable {
        case succeeded, failed
        /// The client refused the request because the shutdown had begun. It was not sent, and is no failure.
        case refused
    }

    let index: Int
    let url: String
    /// The response; nil: none was received.
    var response: Received?
    /// The reason why the request failed; nil: it did not fail. If there is a response too, reading its body failed.
    var failure: Failure?
    var duration: Duration = .zero
    /// How the request spent its time; nil: not requested.
    var timeline: Timeline?

    /// A response, and what was read of its body.
    struct Received: Sendable {
        var status: Int
        var connection: ConnectionFacts?
        var redirects: Int
        var attempts: Int
        var resends: Int
        var requestsSent: Int
        var bytes = 0
        /// The SHA-256 digest of the body in hexadecimal; nil: not requested.
        var sha256: String?
        var headers: [Field] = []
        var trailers: [Field] = []

        init(_ response: ServiceResponse) {
            status = response.status.code
            connection = response.connection
            redirects = response.facts.redirects.count
            attempts = response.attempts
            resends = response.resends
            requestsSent = response.requestsSent
        }
    }

    /// A header or trailer field.
    struct Field: Sendable, Hashable {
        var name: String
        var value: String
    }

    /// The connection of the response, or else the connection on which the request failed.
    var connection: ConnectionFacts? { response == nil ? failure?.connection : response?.connection }
    /// The number of attempts; nil: not known.
    var attempts: Int? { response?.attempts ?? failure?.attempts }
    /// The number of resends; nil: not known.
    var resends: Int? { response?.resends ?? failure?.resends }
    /// The number of requests that were sent; nil: not known.
    var requestsSent: Int? { response?.requestsSent ?? failure?.requestsSent }

    /// Returns whether the request succeeded, failed or was refused.
    ///
    /// - Parameter failsOnStatus: Whether a status of 400 or above is a failure.
    func verdict(failsOnStatus: Bool) -> Verdict {
        if let failure { return failure.isRefusal ? .refused : .failed }
        return failsOnStatus && (response?.status ?? 0) >= 400 ? .failed : .succeeded
    }
}

/// The reason why a request failed, in words.
struct Failure: Sendable, Hashable {
    var code: String
    var progress: String?
    var phase: String?
    var message: String
    /// The number of attempts; nil: not known, for example because the request was cancelled.
    var attempts: Int?
    var resends: Int?
    var requestsSent: Int?
    /// The connection on which the request failed; nil: there was none.
    var connection: ConnectionFacts?

    init(_ error: any Error) {
        switch error {
        case let error as ServiceError:
            code = error.code.rawValue
            progress = error.progress.rawValue
            phase = error.phase?.description
            message = error.message
            // The system's reason for our file, such as "No such file or directory", is more useful than the fact that
            // it failed.
            if let cause = error.underlying as? FileError { message += ": \(cause)" }
            attempts = error.attempts
            resends = error.resends
            requestsSent = error.requestsSent
            connection = error.connection
        case is CancellationError:
            code = "cancelled"
            message = "the request was cancelled"
        case let error as FileError:
            code = "fileFailed"
            message = error.description
        default:
            code = "unexpected"
            message = "\(error)"
        }
    }

    /// Whether the request was refused because the shutdown had begun.
    var isRefusal: Bool { code == ServiceError.Code.shuttingDown.rawValue }
}
