import Testing

@testable import BowlineTransport

@Suite("Whether an early answer stops the upload (RFC 9112 §9.5, RFC 9113 §8.1)")
struct UploadDecisionTests {
    struct Row: Sendable {
        var isRequestDone: Bool
        var status: Int
        var hasBodyBegun: Bool
        var decision: UploadDecision
    }

    static let rows: [Row] =
        [200, 204, 299].flatMap { status in
            [
                Row(isRequestDone: false, status: status, hasBodyBegun: true, decision: .goesOn),
                Row(isRequestDone: false, status: status, hasBodyBegun: false, decision: .stops),
                Row(isRequestDone: true, status: status, hasBodyBegun: true, decision: .goesOn),
                Row(isRequestDone: true, status: status, hasBodyBegun: false, decision: .goesOn),
            ]
        }
        + [199, 300, 413, 417, 500].flatMap { status in
            [
                Row(isRequestDone: false, status: status, hasBodyBegun: true, decision: .stops),
                Row(isRequestDone: false, status: status, hasBodyBegun: false, decision: .stops),
                Row(isRequestDone: true, status: status, hasBodyBegun: true, decision: .goesOn),
                Row(isRequestDone: true, status: status, hasBodyBegun: false, decision: .goesOn),
            ]
        }

    @Test("Each case is decided as the table says", arguments: rows)
    func decision(row: Row) {
        let decision = UploadDecision(
            status: row.status, isRequestDone: row.isRequestDone, hasBodyBegun: row.hasBodyBegun)
        #expect(decision == row.decision)
    }
}
