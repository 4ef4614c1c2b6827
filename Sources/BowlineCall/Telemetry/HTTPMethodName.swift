internal import BowlineCore

/// A method's name for spans and metrics. A method outside the known set gets the name `_OTHER`, so that a program
/// cannot make any number of labels.
enum HTTPMethodName: String, Hashable, Sendable {
    case get = "GET"
    case head = "HEAD"
    case post = "POST"
    case put = "PUT"
    case delete = "DELETE"
    case connect = "CONNECT"
    case options = "OPTIONS"
    case trace = "TRACE"
    case patch = "PATCH"
    case query = "QUERY"
    case other = "_OTHER"

    init(_ method: HTTPRequest.Method) {
        self = HTTPMethodName(rawValue: method.rawValue) ?? .other
    }
}

/// A failure's name for spans, metrics and logs: a ``ServiceError``'s code, or the error's type. Never its text.
struct FailureName: Hashable, Sendable {
    let text: String

    init(_ error: any Error) {
        text = (error as? ServiceError)?.code.rawValue ?? String(reflecting: type(of: error))
    }
}
