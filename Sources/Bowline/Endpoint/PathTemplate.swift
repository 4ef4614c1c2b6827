internal import BowlineCore

/// A parsed path with placeholders, for example `users/{id}/files/{name}`.
struct PathTemplate: Sendable {
    private enum Piece: Sendable {
        case text(Substring)
        case placeholder(String)
    }

    private let text: String
    private var pieces: [Piece] = []
    private var names: Set<String> = []
    /// The template's problem; nil if it has none.
    private var problem: String?

    init(_ text: String) {
        self.text = text
        var rest = text[...]
        while let open = rest.firstIndex(where: { $0 == "{" || $0 == "}" }) {
            let name = rest[open...].dropFirst().prefix { $0 != "}" && $0 != "{" }
            guard rest[open] == "{", name.endIndex < rest.endIndex, rest[name.endIndex] == "}" else {
                problem = "has a brace without its other half"
                return
            }
            guard !name.utf8.contains(UInt8(ascii: "/")) else {
                problem = "has a placeholder that goes on beyond its segment"
                return
            }
            guard !name.isEmpty, names.insert(String(name)).inserted else {
                problem = name.isEmpty ? "has a placeholder without a name" : "has {\(name)} twice"
                return
            }
            if open > rest.startIndex { pieces.append(.text(rest[..<open])) }
            pieces.append(.placeholder(String(name)))
            rest = rest[rest.index(after: name.endIndex)...]
        }
        if !rest.isEmpty { pieces.append(.text(rest)) }
        if text.utf8.contains(where: { $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") }) {
            problem = "has a query or a fragment: give a query by itself"
        }
    }

    /// Returns the path with its values in place of the placeholders. Each value is percent-encoded, so it cannot add a
    /// segment.
    ///
    /// - Throws: ``ServiceError`` `invalidRequest`: the template has a mistake, a placeholder has no value, a value has
    ///   no placeholder, or a value is not allowed in a path.
    func filled(with values: [String: any CustomStringConvertible & Sendable]) throws -> String {
        if let problem { throw refused(problem) }
        if let unknown = values.keys.filter({ !names.contains($0) }).min() {
            throw refused("has no placeholder {\(unknown)}")
        }
        var path = ""
        for piece in pieces {
            switch piece {
            case .text(let text): path += text
            case .placeholder(let name):
                guard let value = values[name].map({ QueryItems.text(of: $0) }) else {
                    throw refused("has no value for {\(name)}")
                }
                guard !value.isEmpty else {
                    throw refused("has an empty value for {\(name)}: it would name another path")
                }
                path += PercentEncoding.segment(value)
            }
        }
        // A value must not make a segment `.` or `..`, because the path would then lead to another place. The template
        // itself may contain such segments. An encoded value contains no slash, so path and template have the same
        // number of segments.
        for (segment, template) in zip(Self.segments(path), Self.segments(text))
        where segment != template && (segment == "." || segment == "..") {
            throw refused("has a value that makes a segment . or ..")
        }
        return path
    }

    private static func segments(_ path: String) -> [String] {
        path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { String(Substring($0)) }
    }

    private func refused(_ what: String) -> ServiceError {
        ServiceError(.invalidRequest, "path template \(text.printable) \(what)")
    }
}
