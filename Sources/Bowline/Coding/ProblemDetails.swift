public import BowlineCore

/// A service's description of a failed request (RFC 9457).
///
/// `error.problem()` reads it from an `unexpectedStatus`. Members that a service adds are not here: read them with a type of your own,
/// `error.problem(as: OutOfCredit.self)`.
public struct ProblemDetails: Decodable, Hashable, Sendable {
    /// A URI that names the kind of problem. `about:blank` if the body has none: then only the status describes the problem.
    public var type: String
    /// A summary of the kind of problem, for a person.
    public var title: String?
    /// The status that the service says it sent. An intermediary may have changed the response's own.
    public var status: Int?
    /// The problem of this one request, for a person.
    public var detail: String?
    /// A URI that names this occurrence of the problem.
    public var instance: String?

    private enum CodingKeys: String, CodingKey {
        case type, title, status, detail, instance
    }

    /// Makes one, for tests.
    public init(
        type: String = "about:blank", title: String? = nil, status: Int? = nil, detail: String? = nil,
        instance: String? = nil
    ) {
        self.type = type
        self.title = title
        self.status = status
        self.detail = detail
        self.instance = instance
    }

    /// Decodes an object; members of another type than RFC 9457 §3.1 gives them are ignored, as are unknown ones.
    ///
    /// - Throws: `DecodingError` where there is no object.
    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        func text(_ key: CodingKeys) -> String? { try? members.decode(String.self, forKey: key) }
        self.init(
            type: text(.type) ?? "about:blank", title: text(.title),
            status: try? members.decode(Int.self, forKey: .status), detail: text(.detail), instance: text(.instance)
        )
    }
}

extension ProblemDetails: CustomStringConvertible, CustomReflectable {
    /// The status; no text, because it may quote the request.
    public var description: String {
        status.map { "ProblemDetails(status: \($0))" } ?? "ProblemDetails()"
    }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}

extension ServiceError {
    /// The problem details (RFC 9457) in the body of an `unexpectedStatus`.
    ///
    /// ```swift
    /// catch let error as ServiceError {
    ///     show(error.problem()?.detail ?? "The order cannot be placed.")
    /// }
    /// ```
    /// The body is read as JSON, by the client's decoder if that is a `JSONDecoder`.
    ///
    /// - Parameter type: The type to decode. If the service adds members, use a type of your own.
    /// - Returns: nil for any other error; where the media type is neither `application/problem+json` nor `application/json` nor
    ///   another `…+json`; where the body is no such value, is longer than the part that is kept, or was cut off. For the reason:
    ///   `error.unexpectedStatus?.decode(…)`.
    public func problem<Problem: Decodable>(as type: Problem.Type = ProblemDetails.self) -> Problem? {
        guard let found = unexpectedStatus, found.isJSON else { return nil }
        return try? found.decode(type, using: found.decoding?.jsonDecoder ?? .json)
    }
}

extension UnexpectedStatus {
    /// Whether the media type says that the body is JSON (RFC 8259, RFC 6839 §3.1).
    fileprivate var isJSON: Bool {
        guard let whole = fields[.contentType] else { return false }
        let end = whole.firstIndex(of: ";") ?? whole.endIndex
        let type = whole[..<end].filter { $0 != " " && $0 != "\t" }.lowercased()
        return type == "application/json" || type.hasSuffix("+json")
    }
}
