internal import Bowline

/// What became of one request.
struct Outcome: Sendable {
    /// How it counts.
    enum Verdict: Sendable, Hashable {
        case succeeded, failed
        /// It came after the shutdown had begun, so it was not sent: nobody's failure.
        case refused
    }

    let index: Int
    let url: String
    /// What was received of it, if anything was.
    var response: Received?
    /// Why it failed; beside a response: its body failed.
    var failure: Failure?
    var duration: Duration = .zero
    /// How it spent its time, if that was asked for.
    var timeline: Timeline?

    /// A response, its body read.
    struct Received: Sendable {
        var status: Int
        var connection: ConnectionFacts?
        var redirects: Int
        var attempts: Int
        var resends: Int
        var requestsSent: Int
        var bytes = 0
        /// In hexadecimal; nil: not asked for.
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

    /// What carried it: the connection of its response, else the one that it failed on.
    var connection: ConnectionFacts? { response == nil ? failure?.connection : response?.connection }
    /// nil: not known.
    var attempts: Int? { response?.attempts ?? failure?.attempts }
    /// nil: not known.
    var resends: Int? { response?.resends ?? failure?.resends }
    /// nil: not known.
    var requestsSent: Int? { response?.requestsSent ?? failure?.requestsSent }

    /// Whether it succeeded.
    ///
    /// - Parameter failsOnStatus: A status of 400 or above is a failure.
    func verdict(failsOnStatus: Bool) -> Verdict {
        if let failure { return failure.isRefusal ? .refused : .failed }
        return failsOnStatus && (response?.status ?? 0) >= 400 ? .failed : .succeeded
    }
}

/// Why a request failed, in words.
struct Failure: Sendable, Hashable {
    var code: String
    var progress: String?
    var phase: String?
    var message: String
    /// nil: not known, as for a request that was cancelled.
    var attempts: Int?
    var resends: Int?
    var requestsSent: Int?
    /// What it failed on; nil: there was none.
    var connection: ConnectionFacts?

    init(_ error: any Error) {
        switch error {
        case let error as ServiceError:
            code = error.code.rawValue
            progress = error.progress.rawValue
            phase = error.phase?.description
            message = error.message
            // What our own file said, as "No such file or directory", is more use than that it failed.
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

    /// Whether it was refused because the shutdown had begun.
    var isRefusal: Bool { code == ServiceError.Code.shuttingDown.rawValue }
}
