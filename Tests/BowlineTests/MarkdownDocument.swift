import Foundation

/// A page of this package's documentation, for tests.
struct MarkdownDocument {
    let lines: [String]

    /// Reads a page.
    ///
    /// - Parameter path: The page's path from the package's root.
    init(_ path: String) throws {
        lines = try Self.text(of: path).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// The text of a file of this package.
    static func text(of path: String) throws -> String {
        // The folder may be a link, if another package uses these tests.
        let here = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    /// The cells of the first table under a heading, without the head of the table.
    func rows(under heading: String) throws -> [[String]] {
        guard let start = lines.firstIndex(of: heading) else { throw MissingHeading(heading: heading) }
        let table = lines[(start + 1)...].drop { !$0.hasPrefix("|") }.prefix { $0.hasPrefix("|") }
        return table.dropFirst(2).map { line in
            line.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast()
                .map { $0.trimmingCharacters(in: .whitespaces) }
        }
    }

    struct MissingHeading: Error {
        let heading: String
    }
}
