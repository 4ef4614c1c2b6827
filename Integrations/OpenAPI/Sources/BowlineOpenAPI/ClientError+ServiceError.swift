public import Bowline
public import OpenAPIRuntime

extension ClientError {
    /// Why the call failed, as Bowline says it: with `code`, `progress` and the number of `attempts`. nil: it failed for
    /// another reason, as a response that the document does not have, or cancellation (`underlyingError` is a
    /// `CancellationError`).
    ///
    /// Log this one: the error's own description has header fields and the operation's input.
    public var serviceError: ServiceError? { underlyingError as? ServiceError }
}
