import Bowline
import Testing

@Suite("Docs/Errors.md and Docs/ConnectionReuse.md")
struct ErrorsDocumentTests {
    @Test("Docs/Errors.md has a row for each code of ServiceError, and no other: when, progress, what to do")
    func codes() throws {
        let source = try MarkdownDocument.text(of: "Sources/BowlineCore/Errors/ServiceError+Code.swift")
        let declared = source.matches(of: /static let (\w+) = Self\(rawValue: "(\w+)"\)/)
        for match in declared { #expect(match.1 == match.2, "a code's name and raw value differ") }
        let rows = try MarkdownDocument("Docs/Errors.md").rows(under: "## Every code")
        #expect(rows.map { $0[0] }.sorted() == declared.map { "`\($0.1)`" }.sorted())
        for row in rows {
            #expect(row.count == 4, "\(row)")
            #expect(row.allSatisfy { !$0.isEmpty }, "\(row)")
            let named = RequestProgress.allCases.contains { row[2].contains("`\($0.rawValue)`") }
            #expect(named || row[2].hasPrefix("any"), "\(row[0]) does not name its progress")
        }
    }

    @Test("Docs/Errors.md explains each kind of progress")
    func progress() throws {
        let rows = try MarkdownDocument("Docs/Errors.md").rows(under: "## Progress: may it be sent again?")
        #expect(rows.map { $0[0] } == RequestProgress.allCases.map { "`\($0.rawValue)`" })
    }

    @Test("Docs/ConnectionReuse.md has a row for each reason for which a connection closes, and no other")
    func closeReasons() throws {
        let source = try MarkdownDocument.text(of: "Sources/BowlineTransport/Pool/CloseReason.swift")
        let declared = source.matches(of: /(?m)^ +case (\w+)$/).map { "`\($0.1)`" }
        #expect(!declared.isEmpty)
        let rows = try MarkdownDocument("Docs/ConnectionReuse.md").rows(under: "## Every reason to close")
        #expect(rows.map { $0[0] }.sorted() == declared.sorted())
        for row in rows {
            #expect(row.count == 3, "\(row)")
            #expect(row.allSatisfy { !$0.isEmpty }, "\(row)")
        }
    }
}
