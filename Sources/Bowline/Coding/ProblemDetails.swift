public import BowlineCore

/// A service's description of a failed request (RFC 9457).
///
/// `error.problem()` reads it from an `unexpectedStatus`. This type has only the members that RFC 9457 defines. To read
/// members that a service adds, use a type of your own: `error.problem(as: OutOfCredit.self)`.
public struct ProblemDetails: Decodable, Hashable, Sendable {
    /// A URI that names the kind of problem. `about:blank` if the body has no such URI; then only the status describes
    /// the problem.
    public var type: String
    /// A summary of the kind of problem, for humans.
    public var title: String?
    /// The status that the body names. An intermediary may have changed the status of the response.
    public var status: Int?
    /// A description of this problem, for humans.
    public var detail: String?
    /// A URI that names this occurrence of the problem.
    public var instance: String?

    private enum CodingKeys: String, CodingKey {
        case type, title, status, detail, instance
    }

    /// Makes problem details, for tests.
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

    /// Decodes an object. Ignores unknown members, and members with another type than RFC 9457 §3.1 requires.
    ///
    /// - Throws: `DecodingError` if there is no object.
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
    /// The status. Contains no text, because a text may quote the request.
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
    /// - Returns: the problem details. nil: the error is not `unexpectedStatus`, or its body cannot be decoded as
    ///   `type`. A body is not decoded at all if its media type is not `application/problem+json`, `application/json`
    ///   or another `…+json`, if it is longer than the part that is kept, or if it was cut off. To get the reason, call
    ///   `error.unexpectedStatus?.decode(…)`.
    public func problem<Problem: Decodable>(as type: Problem.Type = ProblemDetails.self) -> Problem? {
        guard let found = unexpectedStatus, found.isJSON else { return nil }
        return try? found.decode(type, using: found.decoding?.jsonDecoder ?? .json)
    }
}

extension UnexpectedStatus {
    /// Whether the media type says that the body is JSON (RFC 8259, RFC 6839 §3.1).
    fileprivate var isJSON: Bool {
        guard let type = fields[.contentType].flatMap(MediaType.name) else { return false }
        return type == "application/json" || type.hasSuffix("+json")
    }
}
