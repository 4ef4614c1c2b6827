import Testing

@testable import BowlineTransport

@Suite("The first bytes of a peer")
struct EarlyBytesTests {
    static let rows: [([UInt8], EarlyBytes)] = [
        // SETTINGS: empty, and with two parameters; GOAWAY.
        ([0, 0, 0, 4, 0, 0, 0, 0, 0], .http2Frames),
        ([0, 0, 12, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0], .http2Frames),
        ([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0], .http2Frames),
        // A SETTINGS frame of a wrong length, an acknowledgement, one on a stream, another frame, too few bytes.
        ([0, 0, 7, 4, 0, 0, 0, 0, 0], .unknown),
        ([0, 0, 0, 4, 1, 0, 0, 0, 0], .unknown),
        ([0, 0, 0, 4, 0, 0, 0, 0, 1], .unknown),
        ([0, 0, 8, 6, 0, 0, 0, 0, 0], .unknown),
        ([0, 0, 0, 4, 0, 0, 0, 0], .unknown),
        (Array("HTTP/1.1 408 Request Timeout\r\n".utf8), .status(408)),
        (Array("HTTP/1.0 503 \r\n".utf8), .status(503)),
        (Array("HTTP/1.1 503\r\n".utf8), .status(503)),
        (Array("HTTP/1.1 4080".utf8), .unknown),
        (Array("HTTP/1.1 40".utf8), .unknown),
        (Array("HTTP/2.0 408 ".utf8), .unknown),
        (Array("HTTP/1.1 099 ".utf8), .unknown),
        (Array("220 mail.test ESMTP\r\n".utf8), .unknown),
        ([], .unknown),
    ]

    @Test("Frames, status lines and other bytes are distinguished", arguments: rows.indices)
    func kinds(index: Int) {
        let (bytes, expected) = Self.rows[index]
        #expect(EarlyBytes(bytes) == expected)
        #expect(EarlyBytes(bytes).message(isFresh: true).contains("HTTP/2 only?") == (expected == .http2Frames))
    }
}
