/// A failure of a request body that was found by Bowline itself, as opposed to what the body's own sequence throws: the
/// request fails with this error, not with `requestBodyFailed`.
package struct RequestBodyFailure: Error {
    package let error: ServiceError

    package init(_ error: ServiceError) {
        self.error = error
    }
}
