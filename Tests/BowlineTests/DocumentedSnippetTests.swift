import Testing

@Suite("Snippets of the documentation")
struct DocumentedSnippetTests {
    static let pages = [
        "README.md", "Docs/Architecture.md", "Docs/Compression.md", "Docs/ConnectionReuse.md", "Docs/Defaults.md",
        "Docs/Errors.md", "Docs/HTTP2.md", "Docs/Middleware.md", "Docs/Requests.md", "Docs/Retries.md",
        "Docs/Shutdown.md",
        "Docs/Telemetry.md", "Docs/Testing.md", "Docs/Timeouts.md", "Sources/Bowline/Bowline.docc/Bowline.md",
        "Sources/BowlineCore/BowlineCore.docc/BowlineCore.md",
        "Sources/BowlineTesting/BowlineTesting.docc/BowlineTesting.md",
    ]

    @Test("every Swift snippet of the documentation stands in a file that is compiled", arguments: pages)
    func snippetsCompile(page: String) throws {
        let compiled = try MarkdownDocument("Tests/BowlineTests/DocumentedSnippets.swift").lines.map(trimmed)
        let code = compiled.filter { !$0.isEmpty }
        for snippet in try snippets(of: page) {
            let lines = snippet.map(trimmed).filter { !$0.isEmpty }
            for line in lines where line.hasPrefix("import ") {
                #expect(compiled.contains(line), "\(page): \(line)")
            }
            let wanted = lines.filter { !$0.hasPrefix("import ") }
            let isThere = code.indices.contains { code[$0...].starts(with: wanted) }
            #expect(isThere, "\(page): the snippet that begins with \(wanted.first ?? "nothing")")
        }
    }

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
                if snippet.first != "// Package.swift" { found.append(snippet) }
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
