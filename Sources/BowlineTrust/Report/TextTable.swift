/// A table of text with aligned columns: the first column to the left, the others to the right.
struct TextTable: Sendable, CustomStringConvertible {
    private let header: [String]
    private var rows: [[String]] = []

    /// Makes a table without rows.
    init(_ header: [String]) {
        self.header = header
    }

    /// Appends a row. Missing cells are empty; cells beyond the header are dropped.
    mutating func add(_ cells: [String]) {
        rows.append((0..<header.count).map { $0 < cells.count ? cells[$0] : "" })
    }

    /// The header, a line of hyphens, and the rows. No line has trailing spaces.
    var description: String {
        let widths = header.indices.map { column in
            ([header] + rows).map { $0[column].count }.max() ?? 0
        }
        let rule = widths.map { String(repeating: "-", count: $0) }
        return ([header, rule] + rows).map { Self.line($0, widths) }.joined(separator: "\n")
    }

    private static func line(_ cells: [String], _ widths: [Int]) -> String {
        var line = ""
        for (column, cell) in cells.enumerated() {
            let padding = String(repeating: " ", count: widths[column] - cell.count)
            line += column == 0 ? cell + padding : "  " + padding + cell
        }
        while line.last == " " { line.removeLast() }
        return line
    }
}
