import BowlineTransport
import CorpusSupport
import Testing

/// Bounds against hostile peers: input at the bound passes, input above it fails, in pieces of any size.
@Suite struct ResponseLimitTests {
    private static let ok = "HTTP/1.1 200 OK¶"
    private static let chunked = "HTTP/1.1 200 OK¶Transfer-Encoding: chunked¶¶"

    /// A message made of a number, the bound on that number, and the reason beyond it.
    struct Bound: Sendable, CustomTestStringConvertible {
        let name: String
        let limit: Int
        let reason: HTTP1ParseError.Reason
        let message: @Sendable (Int) -> String
        var testDescription: String { name }
    }

    private static func times(_ count: Int, _ text: String) -> String {
        String(repeating: text, count: count)
    }

    static let bounds: [Bound] = [
        Bound(name: "head bytes", limit: 65_536, reason: .headTooLarge) { count in
            // Status line and length take 36 bytes, the field's frame and the empty line 9.
            "\(ok)Content-Length: 0¶X-A: \(times(count - 45, "a"))¶¶"
        },
        Bound(name: "head bytes in the reason phrase", limit: 65_536, reason: .headTooLarge) { count in
            "HTTP/1.1 200 \(times(count - 36, "r"))¶Content-Length: 0¶¶"
        },
        Bound(name: "fields", limit: 512, reason: .tooManyFields) { count in
            "\(ok)Content-Length: 0¶\(times(count - 1, "X: y¶"))¶"
        },
        Bound(name: "fields, folds counted", limit: 512, reason: .tooManyFields) { count in
            "\(ok)Content-Length: 0¶X: y¶\(times(count - 2, " z¶"))¶"
        },
        Bound(name: "trailer bytes", limit: 65_536, reason: .trailersTooLarge) { count in
            "\(chunked)0¶T: \(times(count - 7, "t"))¶¶"
        },
        Bound(name: "trailer fields", limit: 512, reason: .tooManyFields) { count in
            "\(chunked)0¶\(times(count, "T: t¶"))¶"
        },
        Bound(name: "informational responses", limit: 16, reason: .tooManyInformationalResponses) { count in
            "\(times(count, "HTTP/1.1 103 Early Hints¶¶"))\(ok)Content-Length: 0¶¶"
        },
        Bound(name: "extension bytes of a chunk", limit: 4_096, reason: .chunkExtensionsTooLong) { count in
            "\(chunked)1;\(times(count - 1, "e"))¶x¶0¶¶"
        },
        Bound(name: "superfluous zeros of a chunk size", limit: 4_096, reason: .chunkExtensionsTooLong) { count in
            "\(chunked)\(times(count, "0"))1¶x¶0¶¶"
        },
        Bound(name: "extension bytes beyond those delivered", limit: 16_384, reason: .chunkExtensionsTooLong) { count in
            // Each chunk delivers one byte and brings two of extension; the last brings what is left.
            "\(chunked)\(times(14_000, "1;e¶x¶"))1;\(times(count - 14_001, "f"))¶x¶0¶¶"
        },
        Bound(name: "content codings", limit: 16, reason: .tooManyContentCodings) { count in
            "\(ok)Content-Encoding: br¶Content-Encoding: \(times(count - 1, "gzip,"))¶Content-Length: 0¶¶"
        },
    ]

    @Test(
        "Input that fills a limit exactly is accepted, one byte or field more is refused", .tags(.I2, .I7),
        arguments: bounds)
    func bound(bound: Bound) {
        for byteByByte in [false, true] {
            let full = ResponseReader(bound.message(bound.limit), byteByByte: byteByByte)
            #expect(full.observation.outcome == .delivered, "\(bound.limit): \(String(describing: full.error))")
            let beyond = ResponseReader(bound.message(bound.limit + 1), byteByByte: byteByByte)
            #expect(beyond.error?.reason == bound.reason, "\(bound.limit + 1)")
        }
    }

    @Test("Each informational response may fill the head limit, but not exceed it", .tags(.I2))
    func informationalHeads() {
        func hints(_ count: Int) -> String {
            "HTTP/1.1 103 Hints¶X: " + String(repeating: "a", count: count - 27) + "¶¶"
        }
        let full = ResponseReader(hints(65_536) + hints(65_536) + Self.ok + "Content-Length: 0¶¶")
        #expect(full.observation.informational.count == 2)
        #expect(full.observation.outcome == .delivered)
        #expect(ResponseReader(hints(65_536) + hints(65_537)).error?.reason == .headTooLarge)
    }

    static let refusals: [(String, HTTP1ParseError.Reason)] = [
        ("X", .notHTTP1), ("HTTP/2", .unsupportedVersion), ("HTTP/1.1x", .unsupportedVersion),
        ("HTTP/1.1 0", .invalidStatusCode), ("HTTP/1.1 200x", .invalidStatusCode), ("\r", .notHTTP1),
        ("HTTP/1.1 200 O\u{1}", .invalidReason), ("HTTP/1.1 200 OK\n", .bareLineFeed),
        ("HTTP/1.1 200 OK\rX", .bareCarriageReturn), ("HTTP/1.1 200 OK¶:", .emptyFieldName),
        ("HTTP/1.1 200 OK¶ ", .foldBeforeFirstField), ("HTTP/1.1 200 OK¶X\u{0}", .invalidFieldName),
        ("HTTP/1.1 200 OK¶X-A ", .whitespaceInFieldName), ("HTTP/1.1 200 OK¶X\r", .missingColon),
        ("HTTP/1.1 200 OK¶X: a\u{0}", .invalidFieldValue), ("HTTP/1.1 200 OK¶X: a\u{7F}", .invalidFieldValue),
        ("HTTP/1.1 200 OK¶Content-Length: 5x¶", .invalidContentLength),
        ("HTTP/1.1 200 OK¶Content-Length: 5¶ ", .foldedFramingField),
        ("HTTP/1.1 200 OK¶Connection: keep-alive¶\t", .foldedFramingField),
        ("HTTP/1.1 200 OK¶Content-Length: 5¶Transfer-Encoding: chunked¶", .contentLengthAndTransferEncoding),
        ("HTTP/1.1 200 OK¶Transfer-Encoding: chunked¶Content-Length: 5¶", .contentLengthAndTransferEncoding),
        ("HTTP/1.1 200 OK¶Transfer-Encoding: gzip¶", .unsupportedTransferEncoding),
        ("HTTP/1.0 200 OK¶Transfer-Encoding: chunked¶", .transferEncodingOnHTTP10),
        ("\(chunked)x", .invalidChunkSize), ("\(chunked)8000000000000000", .invalidChunkSize),
        ("\(chunked)5 x", .invalidChunkExtension), ("\(chunked)5;=", .invalidChunkExtension),
        ("\(chunked)1¶xy", .chunkNotTerminated), ("\(chunked)0¶X-T: a¶ ", .foldedTrailer),
    ]

    @Test(
        "Input is refused at the first wrong byte, not at the end of the line, the head or the stream",
        arguments: refusals
    )
    func refusedAtOnce(bytes: String, reason: HTTP1ParseError.Reason) {
        #expect(ResponseReader(bytes).error?.reason == reason)
        #expect(ResponseReader(bytes, byteByByte: true).error?.reason == reason)
        let before = ResponseReader(String(bytes.replacing("¶", with: "\r\n").unicodeScalars.dropLast()))
        #expect(before.error == nil, "refused too early")
    }

    @Test("An endless line is refused when it has filled its limit, however small its pieces")
    func endlessLines() {
        for start in ["HTTP/1.1 200 ", Self.ok + "X: ", Self.ok + "X", Self.chunked + "0¶T", Self.chunked + "0¶T: "] {
            var reader = ResponseReader(start)
            var sent = 0
            while reader.error == nil, sent < 200_000 {
                reader.receive(Array(repeating: UInt8(ascii: "a"), count: 1_000))
                sent += 1_000
            }
            #expect(65_000...66_000 ~= sent)
        }
    }
}
