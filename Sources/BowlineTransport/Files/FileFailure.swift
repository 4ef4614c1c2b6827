internal import BowlineCore
internal import BowlinePlatform

/// A failure that the system reported for a file. It is the `underlying` error of a `fileFailed`.
package struct FileFailure: Error, Sendable, Hashable, CustomStringConvertible {
    package let action: String
    package let path: String
    /// The system's number, `errno`.
    package let number: CInt

    /// Makes the failure, with the reason that `errno` names.
    init(_ action: String, _ path: String, number: CInt = errno) {
        self.action = action
        self.path = path
        self.number = number
    }

    package var description: String { "cannot \(action) \(path): \(reason)" }

    private var reason: String { String(cString: strerror(number)) }

    /// The message for the user: with the name of the file, but not its path.
    var message: String {
        "cannot \(action) \(Self.printableName(of: path)): \(reason)"
    }

    /// The name of the file at `path`, for messages.
    static func printableName(of path: String) -> String {
        (path.utf8.split(separator: UInt8(ascii: "/")).last.map { String(Substring($0)) } ?? path).printable
    }

    /// Returns this failure as the error of a request.
    func serviceError(progress: RequestProgress, phase: RequestPhase?) -> ServiceError {
        ServiceError(.fileFailed, message, underlying: self, progress: progress, phase: phase)
    }
}
