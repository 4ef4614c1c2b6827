internal import ArgumentParser
internal import Bowline

/// Whether and how often a request may be sent again.
struct AttemptArguments: ParsableArguments {
    @Option(help: ArgumentHelp("Attempts, the first included. (so far: 1)", valueName: "n"))
    var maxAttempts: Int?

    @Flag(help: "The requests may be sent twice, whatever their method.")
    var idempotent = false

    @Flag(help: "Does not send again when a reused connection turns out to be dead.")
    var noResend = false

    @Option(help: ArgumentHelp("Redirects to follow. (so far: 0)", valueName: "n"))
    var follow: Int?
}

extension AttemptArguments {
    /// The options of each request.
    func makeOptions() throws -> RequestOptions {
        if let maxAttempts {
            guard maxAttempts >= 1 else {
                throw ValidationError("--max-attempts counts the first: it must be at least 1, is \(maxAttempts)")
            }
            guard maxAttempts == 1 else {
                throw ValidationError("--max-attempts above 1: retries are not yet made; leave it out, or say 1")
            }
        }
        if let follow {
            guard follow >= 0 else { throw ValidationError("--follow must not be negative, is \(follow)") }
            guard follow == 0 else {
                throw ValidationError("--follow above 0: redirects are not yet followed; leave it out, or say 0")
            }
        }
        var options = RequestOptions()
        if idempotent { options.idempotency = .idempotent }
        options.allowsResend = !noResend
        return options
    }
}
