internal import ArgumentParser

@testable import BowlineTool

/// A command line as the tool sees it, without the tool's name.
enum CommandLine {
    static let url = "http://127.0.0.1:8080/a"

    /// The plan of `bowline request URL` with these arguments.
    static func plan(_ arguments: String..., urls: [String] = [url]) throws -> RequestPlan {
        try plan(urls + arguments)
    }

    static func plan(_ arguments: [String]) throws -> RequestPlan {
        try RequestPlan(RequestCommand.parse(arguments))
    }

    /// The exit status and the message that a command line is refused with; nil: it is not refused.
    static func refusal(_ arguments: [String]) -> (status: Int32, message: String)? {
        do {
            _ = try plan(arguments)
            return nil
        } catch {
            return (RequestCommand.exitCode(for: error).rawValue, RequestCommand.fullMessage(for: error))
        }
    }
}
