import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("The error for a response that was cut off")
struct TruncationTests {
    struct Row: Sendable {
        var cause: Truncation.Cause
        var received: Truncation.Received
        var code: ServiceError.Code
        var message: String
    }

    private static let silent = "the peer answered no PING within http2.keepAliveTimeout"

    static let rows: [Row] = [
        Row(
            cause: .connectionEnded(note: ""), received: .nothing, code: .connectionClosed,
            message: "the connection ended without a response"),
        Row(
            cause: .connectionEnded(note: ""), received: .partOfHead, code: .connectionClosed,
            message: "the connection ended within the response head"),
        Row(
            cause: .connectionEnded(note: ""), received: .head, code: .incompleteBody,
            message: "the connection ended before the response body was complete"),
        Row(
            cause: .connectionEnded(note: " (GOAWAY)"), received: .nothing, code: .connectionClosed,
            message: "the connection ended without a response (GOAWAY)"),
        Row(
            cause: .connectionEnded(note: " (GOAWAY)"), received: .head, code: .incompleteBody,
            message: "the connection ended before the response body was complete (GOAWAY)"),
        Row(
            cause: .handshakeRefused("no certificate"), received: .nothing, code: .tlsHandshakeFailed,
            message: "no certificate"),
        Row(
            cause: .handshakeRefused("no certificate"), received: .partOfHead, code: .connectionClosed,
            message: "the connection ended within the response head"),
        Row(
            cause: .handshakeRefused("no certificate"), received: .head, code: .incompleteBody,
            message: "the connection ended before the response body was complete"),
        Row(cause: .pingUnanswered, received: .nothing, code: .connectionClosed, message: silent),
        Row(cause: .pingUnanswered, received: .partOfHead, code: .connectionClosed, message: silent),
        Row(cause: .pingUnanswered, received: .head, code: .connectionClosed, message: silent),
        Row(
            cause: .streamReset(code: "CANCEL"), received: .nothing, code: .streamReset,
            message: "the peer reset the stream (CANCEL)"),
        Row(
            cause: .streamReset(code: "CANCEL"), received: .partOfHead, code: .streamReset,
            message: "the peer reset the stream (CANCEL)"),
        Row(
            cause: .streamReset(code: "CANCEL"), received: .head, code: .incompleteBody,
            message: "the peer reset the stream within the response body (CANCEL)"),
    ]

    @Test("Code and message are as the table says", arguments: rows)
    func truncation(row: Row) {
        let truncation = Truncation(row.cause, received: row.received)
        #expect(truncation.code == row.code)
        #expect(truncation.message == row.message)
    }
}
