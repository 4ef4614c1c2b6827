/// The error that names the promise that the code breaks for an input.
package struct FuzzViolation: Error, CustomStringConvertible {
    /// The promise, as a sentence that is false for this input.
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Throws a ``FuzzViolation`` unless the promise is kept.
func promise(_ isKept: Bool, _ description: @autoclosure () -> String) throws {
    guard !isKept else { return }
    throw FuzzViolation(description())
}
