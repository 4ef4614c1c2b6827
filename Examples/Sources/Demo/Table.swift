import Bowline
import Foundation

/// What the demo prints.
enum Table {
    private static let widths = [6, 18, 34, 14, 9]

    /// Says what the next calls show.
    static func title(_ text: String, hasRows: Bool = true) {
        print("\n\(text)\n")
        if hasRows { line(["call", "request", "outcome", "connection", "resends"]) }
    }

    static func row(_ entry: Ledger.Entry) {
        var connection = "-"
        if let facts = entry.connection {
            connection = "#\(facts.id) " + (facts.isReused ? "(its \(ordinal(facts.requests)))" : "(new)")
        }
        let resends = entry.resends == 0 ? "" : "\(entry.resends)"
        line(["\(entry.number)", entry.request, entry.outcome, connection, resends])
    }

    /// Many calls, by the connections that served them.
    static func connections(_ entries: [Ledger.Entry]) {
        let served = Dictionary(grouping: entries.filter { $0.connection != nil }) { $0.connection?.id ?? 0 }
        let cells = served.sorted { $0.key < $1.key }.map { pad("#\($0.key): \($0.value.count)", to: 10) }
        print("   answered, by connection")
        for start in stride(from: 0, to: cells.count, by: 8) {
            printTrimmed(cells[start..<min(start + 8, cells.count)].joined())
        }
        print("\n   refused, because the client shuts down: \(entries.count { $0.isRefused })")
    }

    /// One comparison of the sums.
    static func comparison(_ what: String, client: Int, server: Int) {
        let verdict = client == server ? "=" : "≠"
        print("   \(pad(what, to: 44)) \(pad("\(client)", to: 5)) \(verdict) \(server)")
    }

    private static func line(_ cells: [String]) {
        printTrimmed(zip(cells, widths).map { pad($0, to: $1) }.joined(separator: " "))
    }

    private static func printTrimmed(_ text: String) {
        print("   " + text.trimmingCharacters(in: .whitespaces))
    }

    private static func pad(_ text: String, to width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    private static func ordinal(_ number: Int) -> String {
        switch number {
        case 2: "2nd"
        case 3: "3rd"
        default: "\(number)th"
        }
    }
}
