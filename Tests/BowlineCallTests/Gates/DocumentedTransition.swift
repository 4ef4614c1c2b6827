import Foundation

/// One transition of a machine of the gates, as a row of the table in its documentation.
struct DocumentedTransition: Hashable, CustomStringConvertible {
    let state: String
    let input: String
    let result: String
    let next: String

    var description: String { "\(state) | \(input) | \(result) | \(next)" }

    /// The rows with four cells. A row with several inputs stands for as many.
    static func rows(of file: String) throws -> Set<Self> {
        var rows: Set<Self> = []
        for cells in try cells(of: file) where cells.count == 4 {
            for input in cells[1].components(separatedBy: ", ") {
                rows.insert(Self(state: cells[0], input: input, result: cells[2], next: cells[3]))
            }
        }
        return rows
    }

    /// The cells of all rows of the tables in a file of `BowlineCall/Gates`, without headings.
    static func cells(of file: String) throws -> [[String]] {
        var root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let source = try String(
            contentsOf: root.appendingPathComponent("Sources/BowlineCall/Gates/\(file)"), encoding: .utf8)
        let rows = source.split(separator: "\n").map(String.init)
        return rows.indices.filter { rows[$0].hasPrefix("/// | ") && !rows[$0 + 1].hasPrefix("/// |---") }.map {
            index in
            rows[index].dropFirst("/// |".count).split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        }
    }
}
