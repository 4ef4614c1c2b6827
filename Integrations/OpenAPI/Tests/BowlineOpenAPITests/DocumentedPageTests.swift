import Foundation
import Testing

@Suite("Docs/OpenAPI.md")
struct DocumentedPageTests {
    /// The lines of a file of the checkout, without the spaces around them.
    private func lines(_ path: String) throws -> [String] {
        var folder = URL(fileURLWithPath: #filePath)
        for _ in 0..<5 { folder.deleteLastPathComponent() }
        let text = try String(contentsOf: folder.appendingPathComponent(path), encoding: .utf8)
        return text.split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0.trimmingCharacters(in: .whitespaces) }
    }

    /// The page's blocks of Swift but those of a manifest.
    private func snippets() throws -> [[String]] {
        try lines("Docs/OpenAPI.md").split(separator: "```swift").dropFirst()
            .map { block in block.prefix { $0 != "```" }.filter { !$0.isEmpty } }
            .filter { $0.first?.hasPrefix("// Package.swift") == false }
    }

    @Test("every Swift snippet of the page is compiled here, with the imports that the page shows")
    func snippetsCompile() throws {
        let path = "Integrations/OpenAPI/Tests/BowlineOpenAPITests/OpenAPISnippets.swift"
        let compiled = try lines(path).filter { !$0.isEmpty }
        let snippets = try snippets()
        #expect(snippets.count == 5)
        for snippet in snippets {
            let wanted = snippet.filter { !$0.hasPrefix("import ") }
            let isThere = compiled.indices.contains { compiled[$0...].starts(with: wanted) }
            #expect(isThere, "the snippet that begins with \(wanted.first ?? "nothing")")
        }
        let shown = Set(snippets.joined().filter { $0.hasPrefix("import ") })
        #expect(shown.isSuperset(of: compiled.filter { $0.hasPrefix("import ") && $0 != "import Foundation" }))
    }
}
