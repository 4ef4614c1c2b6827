internal import Bowline

/// The outcome of one call.
struct SilenceCall: Sendable {
    enum Outcome: Sendable, Hashable {
        /// The correct answer, with the number of requests that the client sent for it.
        case success(requestsSent: Int)
        case failure(SilenceFailure)
    }

    let worker: Int
    let isIdempotent: Bool
    let began: MonotonicInstant
    let ended: MonotonicInstant
    let outcome: Outcome

    var failure: SilenceFailure? {
        if case .failure(let failure) = outcome { failure } else { nil }
    }

    var hasSucceeded: Bool { failure == nil }

    /// Whether the call succeeded after more than one request.
    var wasRepeated: Bool {
        if case .success(let requestsSent) = outcome { requestsSent > 1 } else { false }
    }
}

/// How a call failed.
struct SilenceFailure: Sendable, Hashable, CustomStringConvertible {
    let code: String
    let progress: String
    let attempts: Int

    init(code: String, progress: String, attempts: Int = 1) {
        self.code = code
        self.progress = progress
        self.attempts = attempts
    }

    init(_ error: any Error) {
        if let error = error as? ServiceError {
            self.init(code: error.code.rawValue, progress: error.progress.rawValue, attempts: error.attempts)
        } else {
            self.init(code: "\(type(of: error))", progress: "unknown")
        }
    }

    var description: String { "\(code) (\(progress)\(attempts > 1 ? ", \(attempts) attempts" : ""))" }
}
