internal import Bowline
internal import Testing

@testable import BowlineTrust

@Suite("What a ledger prints")
struct LedgerTallyTests {
    private static func call(_ told: LedgerTold, endedAt: Int64 = 1, requestsSent: Int? = 1) -> LedgerCall {
        let sent = LedgerSent(id: 1, method: .get, target: "/", fields: [], isIdempotent: true)
        return LedgerCall(
            sent: sent, told: told, requestsSent: requestsSent, endedAt: endedAt, deadlineAt: 1_000_000_000)
    }

    @Test(
        "The table has a row for each protocol and route, with each call in one column, and the latest call against its deadline"
    )
    func rows() throws {
        let answer = LedgerAnswer(status: 200, id: 1, saysExecuted: true, body: .empty)
        let rejection = LedgerAnswer(status: 503, id: 1, saysExecuted: false, body: .empty)
        var calls = [
            Self.call(.answered(answer)), Self.call(.answered(answer), endedAt: 1_042_000_000),
            Self.call(.answered(rejection), requestsSent: 3), Self.call(.cancelled, requestsSent: nil),
        ]
        calls += RequestProgress.allCases.map { Self.call(.failed(code: "connectionClosed", progress: $0, text: "")) }
        let execution = LedgerExecution(id: 1, method: .get, target: "/", fields: [])
        let proxy = try LedgerProxy("socks5h://127.0.0.1:1080")
        let record = LedgerRecord(calls: calls, executions: [execution, execution])
        var tally = LedgerTally()
        tally.add(.init(record: record, faults: ["cut": 2]), [LedgerViolation(.late, 1, "")], wire: .http2)
        tally.add(.init(record: record, faults: ["cut": 1, "pause": 4]), [], wire: .http2)
        var tunnelled = LedgerRecord(calls: [Self.call(.answered(answer))], executions: [execution])
        tunnelled.route = .socks(proxy)
        tally.add(.init(record: tunnelled, faults: [:]), [], wire: .http2)
        tally.add(.memoryGrew)
        #expect(tally.requests == 17)
        #expect(tally.episodes == 3)
        #expect(tally.violations == [.late: 1, .memoryGrew: 1])
        let lines = tally.description.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        let rows = lines.filter { $0.first == "HTTP/2," }
        try #require(rows.count == 2)
        #expect(rows[0] == ["HTTP/2,", "TLS", "direct", "16", "4", "2", "2", "2", "2", "2", "2", "18", "4", "42"])
        #expect(rows[1] == ["HTTP/2,", "TLS", "SOCKS5", "1", "1", "0", "0", "0", "0", "0", "0", "1", "1", "0"])
        #expect(!lines.contains(where: { $0.first == "HTTP/1.1" }))
        #expect(tally.description.contains("faults of the path: cut 3, pause 4"))
        #expect(lines.contains(["late", "1"]))
        #expect(lines.contains(["executed", "twice", "0"]))
    }

    @Test("Growth of memory is measured from the first quarter of a run")
    func memory() {
        var growth = MemoryGrowth()
        #expect(growth.growth == 0)
        #expect(growth.description == "memory unknown")
        growth.add(requests: 100, of: 100)
        #expect(growth.growth == 0)
        #expect(MemoryGrowth.limit(requests: 0) == 16_384)
        #expect(MemoryGrowth.limit(requests: 1_048_576) == 49_152)
    }
}
