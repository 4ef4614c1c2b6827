internal import ArgumentParser
internal import Bowline

/// Whether and how often a request may be sent again.
struct AttemptArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Attempts, the first included; with waits between them, as the SDK makes them.", valueName: "n"))
    var maxAttempts = RetryOptions().maximumAttempts

    @Flag(help: "The requests may be sent twice, whatever their method.")
    var idempotent = false

    @Flag(help: "Does not send again when a reused connection turns out to be dead.")
    var noResend = false

    @Option(help: ArgumentHelp("Redirects to follow.", valueName: "n"))
    var follow = RedirectOptions().maximum
}

extension AttemptArguments {
    /// When a request is tried again: as the SDK does unless asked otherwise. The tool shows what the SDK does.
    func makeRetry() throws -> RetryOptions {
        guard (1...100).contains(maxAttempts) else {
            throw ValidationError("--max-attempts counts the first: it must be from 1 to 100, is \(maxAttempts)")
        }
        var retry = RetryOptions()
        retry.maximumAttempts = maxAttempts
        return retry
    }

    /// Which redirects are followed: as the SDK does unless asked otherwise.
    func makeRedirect() throws -> RedirectOptions {
        guard (0...100).contains(follow) else {
            throw ValidationError("--follow must be from 0 to 100, is \(follow)")
        }
        var redirect = RedirectOptions()
        redirect.maximum = follow
        return redirect
    }

    /// The options of each request.
    func makeOptions() -> RequestOptions {
        var options = RequestOptions()
        if idempotent { options.idempotency = .idempotent }
        options.allowsResend = !noResend
        return options
    }
}
