import Testing

@Suite("Snippets of the documentation")
struct DocumentedSnippetTests {
    // Docs/OpenAPI.md needs another package: the tests in Integrations/OpenAPI compile and compare its snippets.
    static let pages = [
        "README.md", "Docs/Architecture.md", "Docs/Compression.md", "Docs/ConnectionReuse.md", "Docs/Defaults.md",
        "Docs/Errors.md", "Docs/HTTP2.md", "Docs/Middleware.md", "Docs/Performance.md", "Docs/Requests.md",
        "Docs/Retries.md", "Docs/Shutdown.md", "Docs/TLS.md", "Docs/Telemetry.md", "Docs/Testing.md",
        "Docs/Timeouts.md",
        "Sources/Bowline/Bowline.docc/Bowline.md",
        "Sources/BowlineCore/BowlineCore.docc/BowlineCore.md",
        "Sources/BowlineTesting/BowlineTesting.docc/BowlineTesting.md",
    ]

    @Test("every Swift snippet of a page is compiled, with the imports that the page shows", arguments: pages)
    func snippetsCompile(page: String) throws {
        let snippets = try snippets(of: page).map { $0.map(trimmed).filter { !$0.isEmpty } }
        guard !snippets.isEmpty else { return }
        let name = page.split(separator: "/").last?.dropLast(".md".count) ?? ""
        let compiled = try MarkdownDocument("Tests/BowlineTests/Snippets/\(name)Snippets.swift").lines.map(trimmed)
        let code = compiled.filter { !$0.isEmpty }
        for snippet in snippets {
            let wanted = snippet.filter { !isImport($0) }
            let isThere = code.indices.contains { code[$0...].starts(with: wanted) }
            #expect(isThere, "\(page): the snippet that begins with \(wanted.first ?? "nothing")")
        }
        let shown = Set(snippets.joined().filter(isImport)).union(["import Bowline"])
        #expect(shown.isSuperset(of: code.filter(isImport)), "\(page): a module that the page does not import")
    }

    private func isImport(_ line: String) -> Bool { line.hasPrefix("import ") }

    @Test("the documentation that has snippets is compared: there are some")
    func hasSnippets() throws {
        #expect(try Self.pages.map { try snippets(of: $0).count }.reduce(0, +) > 10)
    }

    /// The Swift blocks of a page; a manifest, which begins by saying so, is none.
    private func snippets(of page: String) throws -> [[String]] {
        var found: [[String]] = []
        var current: [String]?
        for line in try MarkdownDocument(page).lines {
            if line == "```swift" {
                current = []
            } else if line == "```", let snippet = current {
                if snippet.first?.hasPrefix("// Package.swift") == false { found.append(snippet) }
                current = nil
            } else {
                current?.append(line)
            }
        }
        return found
    }

    private func trimmed(_ line: String) -> String {
        let rest = line.drop { $0 == " " }
        return String(rest.reversed().drop { $0 == " " }.reversed())
    }
}
