import BowlineCore

/// `Link` fields: a limited number of links, each with a URL that a client may request.
///
/// Content: the value of the field.
enum LinksTarget {
    static func check(_ input: FuzzInput) throws {
        guard let section = try FieldSection.received("Link", input.content) else { return }
        let base = try ServiceURL("https://example.com/v1/orders?page=1")
        let socket = try ServiceURL("http+unix://%2Frun%2Fapi.sock/v1/orders")
        let links = try checked(LinkFieldReader.links(in: section.fields, at: base))
        let onSocket = try checked(LinkFieldReader.links(in: section.fields, at: socket))
        let unknown = try checked(LinkFieldReader.links(in: section.fields, at: nil))

        for link in links + unknown {
            try promise(link.target.origin.socketPath == nil, "a link does not lead to a socket: \(link.target)")
        }
        for link in onSocket where link.target.origin.socketPath != nil {
            try promise(link.target.origin == socket.origin, "a link leads to another socket: \(link.target)")
        }
        try promise(unknown.count <= links.count, "without a base there are \(unknown.count) of \(links.count) links")
    }

    private static func checked(_ links: [WebLink]) throws -> [WebLink] {
        try promise(links.count <= LinkFieldReader.maximumLinks, "\(links.count) links are read")
        for link in links {
            try URLTarget.checkURL(link.target)
            try promise(!link.relations.isEmpty, "a link has a relation")
            for relation in link.relations {
                try promise(link.has(relation: relation), "the link has its relation \(relation)")
                let isSpaced = relation.utf8.contains(where: FuzzGrammar.isSpace)
                try promise(!relation.isEmpty && !isSpaced, "a relation is one word: \(relation)")
            }
            try promise(link.parameter("ANCHOR") == link.anchor, "the anchor is a parameter")
        }
        return links
    }
}
