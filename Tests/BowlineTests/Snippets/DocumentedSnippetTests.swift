import Testing

@Suite("Snippets of the documentation")
struct DocumentedSnippetTests {
    // Docs/OpenAPI.md needs another package: the tests in Integrations/OpenAPI compile and compare its snippets.
    static let pages = [
        "README.md", "Docs/Architecture.md", "Docs/Compression.md", "Docs/ConnectionReuse.md", "Docs/Cookbook.md",
        "Docs/Defaults.md", "Docs/Errors.md", "Docs/HTTP2.md", "Docs/Middleware.md", "Docs/Performance.md",
        "Docs/Requests.md",
        "Docs/Retries.md", "Docs/Shutdown.md", "Docs/TLS.md", "Docs/Telemetry.md", "Docs/Testing.md",
        "Docs/Timeouts.md", "Docs/WriteAMiddleware.md",
        "Sources/Bowline/Bowline.docc/Bowline.md",
        "Sources/BowlineCore/BowlineCore.docc/BowlineCore.md",
        "Sources/BowlineTesting/BowlineTesting.docc/BowlineTesting.md",
    ]

    /// Pages whose snippets are in several files.
    private static let parts = [
        "Cookbook": ["Reading", "Sending", "Middleware", "Metrics", "Shutdown", "Testing"],
        "Testing": ["", "VirtualTime"],
    ]

    @Test("Every Swift snippet of a page is compiled, with the imports that the page shows", arguments: pages)
    func snippetsCompile(page: String) throws {
        let snippets = try snippets(of: page).map { $0.map(trimmed).filter { !$0.isEmpty } }
        guard !snippets.isEmpty else { return }
        let files = try compiledFiles(of: page)
        for snippet in snippets {
            let wanted = snippet.filter { !isImport($0) }
            let isThere = files.contains { code in code.indices.contains { code[$0...].starts(with: wanted) } }
            #expect(isThere, "\(page): the snippet that begins with \(wanted.first ?? "nothing")")
        }
        let shown = Set(snippets.joined().filter(isImport)).union(["import Bowline"])
        #expect(
            shown.isSuperset(of: files.joined().filter(isImport)), "\(page): a module that the page does not import")
    }

    /// The non-empty lines of the files in which a page's snippets are compiled.
    private func compiledFiles(of page: String) throws -> [[String]] {
        let name = String(page.split(separator: "/").last?.dropLast(".md".count) ?? "")
        let files = Self.parts[name].map { parts in parts.map { name + $0 } } ?? [name]
        return try files.map { file in
            let lines = try MarkdownDocument("Tests/BowlineTests/Snippets/\(file)Snippets.swift").lines
            return lines.map(trimmed).filter { !$0.isEmpty }
        }
    }

    private func isImport(_ line: String) -> Bool { line.hasPrefix("import ") }

    @Test("There are snippets to compare")
    func hasSnippets() throws {
        #expect(try Self.pages.map { try snippets(of: $0).count }.reduce(0, +) > 10)
    }

    /// The Swift blocks of a page. A manifest, whose first line says so, is not a snippet.
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
