import BowlineTransport
import CorpusSupport
import HTTPTypes
import Testing

/// Status lines, folds, chunk lines, persistence: tables of what is read how.
@Suite struct ResponseSyntaxTests {
    @Test(
        "RFC 9112 §4: status lines",
        arguments: [
            ("HTTP/1.1 200 OK", 200, 1, "OK"), ("HTTP/1.1 200 ", 200, 1, ""), ("HTTP/1.1 200", 200, 1, ""),
            ("HTTP/1.1 200  OK", 200, 1, " OK"), ("HTTP/1.1 404 Not\tFound ü", 404, 1, "Not\tFound ü"),
            ("HTTP/1.0 999 x", 999, 0, "x"), ("HTTP/1.9 100 x¶¶HTTP/1.7 599 y", 599, 1, "y"),
        ]
    )
    func statusLine(line: String, status: Int, minorVersion: Int, reason: String) throws {
        for byteByByte in [false, true] {
            let head = try #require(ResponseReader(line + "¶Content-Length: 0¶¶", byteByByte: byteByByte).head)
            #expect(head.statusCode == status)
            #expect(head.minorVersion == minorVersion)
            #expect(head.reason == reason)
            #expect(head.status.code == status)
        }
    }

    @Test(
        "RFC 9112 §5.2: a folded value is joined by one space",
        arguments: [
            ("X: a¶ b", "a b"), ("X: a \t¶\t \tb  ", "a b"), ("X:¶ a", "a"), ("X: a¶ ¶ b", "a b"), ("X: a¶ ¶\t", "a"),
            ("X: a¶ bb¶ ccc¶ Content-Length: 9", "a bb ccc Content-Length: 9"), ("X:¶ ¶ ", ""),
        ]
    )
    func folds(field: String, value: String) {
        for byteByByte in [false, true] {
            let reader = ResponseReader(
                "HTTP/1.1 200 OK¶\(field)¶Y: z¶Content-Length: 2¶¶ok", byteByByte: byteByByte)
            #expect(
                reader.observation.headers == [
                    CorpusField(name: "X", value: value), CorpusField(name: "Y", value: "z"),
                    CorpusField(name: "Content-Length", value: "2"),
                ])
            #expect(reader.observation.body == Array("ok".utf8))
        }
    }

    @Test(
        "RFC 9112 §7.1.1: chunk extensions that are accepted",
        arguments: [
            "5;a", "5;a=b", "5;a;b=c", "5;a=\"b c\"", "5;a=\"b;\\\"\\\\,\t\"", "5;a=\"\"", "5;a=\"x\";b", "5 ;a",
            "5; a",
            "5 \t; a = b ; c", "5;a=\"b\" ;c", "05", "000000000000000000000005", "5;a=\"ü\"",
        ]
    )
    func chunkExtensions(line: String) {
        for byteByByte in [false, true] {
            let reader = ResponseReader(
                "HTTP/1.1 200 OK¶Transfer-Encoding: chunked¶¶\(line)¶hello¶0;x=y¶¶", byteByByte: byteByByte)
            #expect(reader.observation.body == Array("hello".utf8), "\(String(describing: reader.error))")
            #expect(reader.observation.isReusable)
        }
    }

    @Test(
        "RFC 9112 §7.1: chunk lines that are refused",
        arguments: [
            "", " 5", "5 ", "5\t", "5;", "5;;a", "5;a;", "5;a ", "5;a b", "5;a=", "5;a= ", "5;=b", "5;a=b=c", "5;a=\"b",
            "5;a=\"b\"c", "5;a=b\"", "5;a=\"\u{1}\"", "5;a=\"\\\u{1}\"", "5;a=\"b\r\"", "5;ü", "5,a", "+5", "-5", "0x5",
            "5h",
            "5.0", "５", "7FFFFFFFFFFFFFFFF", "8000000000000000", "5\r", "5\n", "5;a\n", "5;a=\"\n\"",
        ]
    )
    func badChunkLines(line: String) {
        for byteByByte in [false, true] {
            let reader = ResponseReader(
                "HTTP/1.1 200 OK¶Transfer-Encoding: chunked¶¶\(line)¶hello¶0¶¶", byteByByte: byteByByte)
            #expect(reader.error != nil)
        }
    }

    @Test("The largest chunk size is accepted, and the bytes that follow are delivered")
    func largestChunk() {
        let reader = ResponseReader("HTTP/1.1 200 OK¶Transfer-Encoding: chunked¶¶7FFFFFFFFFFFFFFF¶hello")
        #expect(reader.error == nil)
        #expect(reader.observation.body == Array("hello".utf8))
    }

    struct Persistence: Sendable {
        let head: String
        let keepAlive: Bool
        let timeout: Int?
        init(_ head: String, _ keepAlive: Bool, timeout: Int? = nil) {
            (self.head, self.keepAlive, self.timeout) = (head, keepAlive, timeout)
        }
    }

    @Test(
        "whether a connection may be kept, and for how long", .tags(.KA2, .KA4, .KA5, .KA19),
        arguments: [
            Persistence("1.1 200 OK¶Content-Length: 0", true),
            Persistence("1.1 200 OK¶Content-Length: 0¶Connection: CLOSE", false),
            Persistence("1.1 200 OK¶Content-Length: 0¶Connection: x,\tClose ,y", false),
            Persistence("1.1 200 OK¶Content-Length: 0¶Connection: keep-alive¶connection: close", false),
            Persistence("1.1 200 OK¶Content-Length: 0¶Connection: closed, \"close\", close;x", true),
            Persistence("1.1 200 OK", false),
            Persistence("1.1 200 OK¶Connection: keep-alive", false),
            Persistence("1.0 200 OK¶Content-Length: 0", false),
            Persistence("1.0 200 OK¶Content-Length: 0¶Connection: x, Keep-Alive", true),
            Persistence("1.0 200 OK¶Content-Length: 0¶Connection: keep-alive, close", false),
            Persistence("1.0 200 OK¶Connection: keep-alive", false),
            Persistence("1.0 304 OK¶Connection: keep-alive", true),
            Persistence("1.0 200 OK¶Content-Length: 0¶Keep-Alive: timeout=5", false, timeout: 5),
            Persistence("1.1 204 No¶Content-Length: 5", false),
            Persistence("1.1 204 No¶Content-Length: 0", true),
            Persistence("1.1 204 No¶Transfer-Encoding: chunked", false),
            Persistence("1.1 304 Not¶Content-Length: 5", true),
            Persistence("1.1 304 Not¶Transfer-Encoding: chunked", true),
            Persistence("1.1 100 Go¶Connection: close¶¶HTTP/1.1 204 No", false),
            Persistence("1.1 204 No¶Keep-Alive: timeout=5, max=100", true, timeout: 5),
            Persistence("1.1 204 No¶Keep-Alive: max=1, Timeout = 15", true, timeout: 15),
            Persistence("1.1 204 No¶Keep-Alive: timeout=60¶Keep-Alive: timeout=30", true, timeout: 30),
            Persistence("1.1 204 No¶Keep-Alive: timeout=0", true, timeout: 0),
            Persistence("1.1 204 No¶Keep-Alive: timeout=999999999", true, timeout: 999_999_999),
            Persistence("1.1 204 No¶Keep-Alive: timeout=1000000000", true),
            Persistence("1.1 204 No¶Keep-Alive: timeout=99999999999999999999", true),
            Persistence("1.1 204 No¶Keep-Alive: timeout=, timeout=-1, timeout=5s, timeout=\"5\", timeout, =5", true),
        ]
    )
    func persistence(persistence: Persistence) throws {
        let head = try #require(ResponseReader("HTTP/" + persistence.head + "¶¶").head)
        #expect(head.persistence.keepAlive == persistence.keepAlive)
        #expect(head.persistence.keepAliveTimeout == persistence.timeout)
    }

    @Test("Trailers are told apart from headers, and from no trailers")
    func trailers() {
        let head = "HTTP/1.1 200 OK¶X: h¶Transfer-Encoding: chunked¶¶"
        let reader = ResponseReader(head + "0¶X: t¶Content-Length: 5¶Connection: close¶¶")
        #expect(reader.observation.headers.map(\.value) == ["h", "chunked"])
        #expect(reader.observation.trailers.map(\.value) == ["t", "5", "close"])
        #expect(reader.observation.isReusable)
        #expect(ResponseReader(head + "0¶¶").observation.trailers.isEmpty)
    }

    @Test("An error says what was wrong and where, with bounded length and without a value", .tags(.I15))
    func errorDescriptions() {
        let secret = String(repeating: "s3cret", count: 2_000)
        for bytes in [
            "HTTP/1.1 200 \(secret)\u{1}", "HTTP/1.1 200 OK¶X: \(secret)\u{0}", "HTTP/1.1 200 OK¶\(secret) : x",
            "HTTP/1.1 200 OK¶Content-Length: \(secret)¶", "HTTP/1.1 200 OK¶Transfer-Encoding: \(secret)¶", secret,
        ] {
            let text = ResponseReader(bytes).error.map(String.init(describing:)) ?? ""
            #expect(!text.isEmpty)
            #expect(text.utf8.count < 200)
            #expect(!text.contains("s3cret"))
        }
        let error = ResponseReader("HTTP/1.1 200 OK¶A: b¶X: a\u{7}").error
        #expect(error?.description == "control character in a field value (line 3, byte 0x07)")
    }
}
