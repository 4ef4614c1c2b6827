/// A link that a response names in its `Link` field (RFC 8288): where it leads, and how that is related to the response.
///
/// ```swift
/// while let next = response.link("next") {
///     response = try await client.get(next.target.absoluteString)
/// }
/// ```
public struct WebLink: Sendable, Hashable {
    /// Where it leads, resolved against the response's URL. It may be another origin, which gets none of the client's
    /// credentials.
    public let target: ServiceURL
    /// Its relation types in lower case, as `next`; at least one.
    public let relations: [String]
    /// The subject of the link, if that is not the response itself: the value of the parameter `anchor`, not resolved.
    public let anchor: String?
    private let parameters: [Parameter]

    /// A name in lower case, and a value without its quotes.
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

    /// The value of a parameter, as `title`, without its quotes; nil if the link has none of that name.
    ///
    /// - Parameter name: The name, in any case. If several parameters have it, the first counts.
    public func parameter(_ name: String) -> String? {
        let name = name.lowercased()
        return parameters.first { $0.name == name }?.value
    }

    /// Whether it has a relation type, in any case.
    public func has(relation: String) -> Bool { relations.contains(relation.lowercased()) }
}

extension WebLink: CustomStringConvertible, CustomReflectable {
    /// The target without its query, which may hold secrets; no parameter.
    public var description: String { "WebLink(\(target))" }

    public var customMirror: Mirror { Mirror(self, children: ["description": description]) }
}

extension ServiceResponse {
    /// The links in the `Link` fields (RFC 8288), in order, their targets resolved against ``url``.
    ///
    /// Left out are: a link without a `rel`; one whose target is no URL that a client can ask, is longer than 16 KiB, or
    /// is a Unix domain socket other than the response's; a relative one where ``url`` is nil; and the rest of a field after a place
    /// that is not formed as RFC 8288 says. The first 256 links are read. `title*` and its kind are not decoded.
    ///
    /// Read anew each time.
    public var links: [WebLink] { LinkFieldReader.links(in: receivedFields, at: url) }

    /// The first link with this relation type, in any case, that is about the response itself: links with an `anchor` are
    /// passed over. nil: there is none.
    public func link(_ relation: String) -> WebLink? {
        links.first { $0.anchor == nil && $0.has(relation: relation) }
    }
}
