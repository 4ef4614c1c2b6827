/// A failure of a request body that Bowline itself found. The request fails with this error. If the body's own sequence
/// throws, the request fails with `requestBodyFailed` instead.
package struct RequestBodyFailure: Error {
    package let error: ServiceError

    package init(_ error: ServiceError) {
        self.error = error
    }
}
