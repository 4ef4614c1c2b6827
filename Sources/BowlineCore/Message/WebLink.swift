/// A link from the `Link` field of a response (RFC 8288): a target, and how it is related to the response.
///
/// ```swift
/// while let next = response.link("next") {
///     response = try await client.get(next.target.absoluteString)
/// }
/// ```
public struct WebLink: Sendable, Hashable {
    /// The link's target, resolved against the response's URL. It may be on another origin, which gets none of the
    /// client's credentials.
    public let target: ServiceURL
    /// The link's relation types in lower case, such as `next`; at least one.
    public let relations: [String]
    /// The value of the parameter `anchor`, not resolved: the subject of the link. nil: the subject is the response
    /// itself.
    public let anchor: String?
    private let parameters: [Parameter]

    /// A parameter: a name in lower case, and a value without its quotes.
    struct Parameter: Sendable, Hashable {
        let name: String
        let value: String
    }

    init(target: ServiceURL, relations: [String], parameters: [Parameter]) {
        self.target = target
        self.relations = relations
        self.parameters = parameters
        anchor = parameters.first { $0.name == "anchor" }?.value
    }

    /// Returns the value of a parameter, such as `title`, without its quotes; nil: the link has no parameter of this
    /// name.
    ///
    /// - Parameter name: The name, in any case. If several parameters have it, the first counts.
    public func parameter(_ name: String) -> String? {
        let name = name.lowercased()
        return parameters.first { $0.name == name }?.value
    }

    /// Whether the link has this relation type, in any case.
    public func has(relation: String) -> Bool { relations.contains(relation.lowercased()) }
}

extension WebLink: CustomStringConvertible, CustomReflectable {
    /// The target without its query, which may contain secrets. Contains no parameter.
    public var description: String { "WebLink(\(target))" }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}

extension ServiceResponse {
    /// The links in the `Link` fields (RFC 8288), in order, with their targets resolved against ``url``.
    ///
    /// The result does not contain:
    /// - links without a `rel`
    /// - links with a target that is not a URL for a client, that is longer than 16 KiB, or that is on a Unix domain
    ///   socket other than the response's
    /// - relative links, if ``url`` is nil
    /// - the rest of a field after a syntax error (RFC 8288)
    /// - links after the first 256
    ///
    /// Parameters with encoded text, such as `title*`, are not decoded.
    ///
    /// The fields are read again on each access.
    public var links: [WebLink] { LinkFieldReader.links(in: receivedFields, at: url) }

    /// Returns the first link with this relation type, in any case; nil: there is none. Links with an `anchor` are
    /// skipped, because they are not about the response itself.
    public func link(_ relation: String) -> WebLink? {
        links.first { $0.anchor == nil && $0.has(relation: relation) }
    }
}
