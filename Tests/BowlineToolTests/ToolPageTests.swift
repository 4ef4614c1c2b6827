internal import ArgumentParser
internal import Foundation
internal import Testing

@testable import BowlineTool

@Suite("Docs/Tool.md")
struct ToolPageTests {
    @Test("has every option of the help, and no other")
    func options() throws {
        let page = try String(contentsOf: Self.root.appendingPathComponent("Docs/Tool.md"), encoding: .utf8)
        let rows = page.split(separator: "\n").filter { $0.hasPrefix("| `-") }
            .map { $0.split(separator: "|").first ?? "" }
        let documented = Set(rows.flatMap { options(in: String($0)) })
        // The help indents the lines of options by two spaces.
        let help = RequestCommand.helpMessage(columns: 400).split(separator: "\n").filter { $0.hasPrefix("  -") }
            .map { String($0.dropFirst(2)).components(separatedBy: "  ").first ?? "" }
        let offered = Set(help.flatMap(options(in:))).subtracting(["-h", "--help"])
        #expect(documented == offered)
        #expect(offered.count > 30)
    }

    private func options(in text: String) -> [String] {
        text.components(separatedBy: CharacterSet(charactersIn: " `,")).filter { $0.hasPrefix("-") }
    }

    private static var root: URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
    }
}
