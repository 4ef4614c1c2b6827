import Bowline
import BowlineTesting

/// Both sides' counts, which have to be the same.
struct Sums {
    private let comparisons: [(what: String, client: Int, server: Int)]
    private let problems: [String]

    /// Counts, when everything is over.
    init(ledger: Ledger, pool: PoolSnapshot, server: LoopbackServer) {
        let sent = ledger.entries.filter { !$0.isRefused }
        let resends = sent.reduce(0) { $0 + $1.resends }
        let seen = server.requests
        let distinct = Set(seen.map { $0[.call] })
        comparisons = [
            ("calls sent, by their numbers", sent.count, distinct.count),
            ("sent again", resends, seen.count - distinct.count),
            ("requests in all", sent.count + resends, seen.count),
            ("requests answered", sent.count { $0.connection != nil }, Self.answered(by: server)),
            ("connections", pool.opened, server.connections.count),
            ("connections still open", pool.idle + pool.active, server.openConnectionCount),
        ]
        problems = server.problems
    }

    /// Shows them; false if any differ.
    func areRight() -> Bool {
        print("\nWhat the client counted, and what the server did\n")
        for sum in comparisons { Table.comparison(sum.what, client: sum.client, server: sum.server) }
        for problem in problems { print("   the server complains: \(problem)") }
        return problems.isEmpty && comparisons.allSatisfy { $0.client == $0.server }
    }

    /// All but those that the server dropped or left without an answer on purpose.
    private static func answered(by server: LoopbackServer) -> Int {
        server.requests.count { $0.path != "/stall" && !($0.path == "/forgetful" && $0.number > 1) }
    }
}
