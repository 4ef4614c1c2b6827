/// A failure of a request body that was found by Bowline itself, as opposed to an error of the body's own sequence: the
/// request fails with this error, not with `requestBodyFailed`.
package struct RequestBodyFailure: Error {
    package let error: ServiceError

    package init(_ error: ServiceError) {
        self.error = error
    }
}
