internal import ArgumentParser
internal import Bowline

/// The options that decide whether and how often a request may be sent again.
struct AttemptArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp("Attempts, the first included; the SDK waits between them.", valueName: "n"))
    var maxAttempts = RetryOptions().maximumAttempts

    @Flag(help: "The requests may be sent twice, whatever their method.")
    var idempotent = false

    @Flag(help: "No resend when a reused connection turns out to be dead.")
    var noResend = false

    @Option(help: ArgumentHelp("Redirects to follow.", valueName: "n"))
    var follow = RedirectOptions().maximum
}

extension AttemptArguments {
    /// Makes the retry options: the SDK's defaults unless the command line says otherwise.
    func makeRetry() throws -> RetryOptions {
        guard (1...100).contains(maxAttempts) else {
            throw ValidationError("--max-attempts includes the first: it must be from 1 to 100, is \(maxAttempts)")
        }
        var retry = RetryOptions()
        retry.maximumAttempts = maxAttempts
        return retry
    }

    /// Makes the redirect options: the SDK's defaults unless the command line says otherwise.
    func makeRedirect() throws -> RedirectOptions {
        guard (0...100).contains(follow) else {
            throw ValidationError("--follow must be from 0 to 100, is \(follow)")
        }
        var redirect = RedirectOptions()
        redirect.maximum = follow
        return redirect
    }

    /// Makes the options of each request.
    func makeOptions() -> RequestOptions {
        var options = RequestOptions()
        if idempotent { options.idempotency = .idempotent }
        options.allowsResend = !noResend
        return options
    }
}
