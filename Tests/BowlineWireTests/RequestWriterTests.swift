import BowlineTransport
import HTTPTypes
import NIOCore
import Testing

/// Request heads and chunked bodies: what is written, and what is refused before a byte is.
@Suite struct RequestWriterTests {
    private static func request(
        _ method: String = "GET", target: String = "/", host: String = "h", fields: [(String, String)] = [],
        framing: HTTP1RequestFraming = .none, close: Bool = false, expect: Bool = false
    ) -> HTTP1RequestHead {
        var collection = HTTPFields()
        for (name, value) in fields {
            guard let name = HTTPField.Name(name) else { continue }
            collection.append(HTTPField(name: name, lenientValue: Array(value.utf8)))
        }
        return HTTP1RequestHead(
            method: method, target: target, host: host, fields: collection, framing: framing, connectionClose: close,
            expectContinue: expect)
    }

    private static func written(_ head: HTTP1RequestHead) throws -> String {
        var buffer = ByteBuffer()
        try HTTP1RequestWriter.write(head, into: &buffer)
        return String(buffer: buffer).replacing("\r\n", with: "¶")
    }

    struct Written: Sendable {
        let head: HTTP1RequestHead
        let text: String
        init(_ head: HTTP1RequestHead, _ text: String) { (self.head, self.text) = (head, text) }
    }

    static let heads: [Written] = [
        Written(request(), "GET / HTTP/1.1¶Host: h¶¶"),
        Written(
            request("PURGE", target: "/a%20b?c=d", host: "[::1]:8080", fields: [("Accept", "*/*"), ("x-y", "z")]),
            "PURGE /a%20b?c=d HTTP/1.1¶Host: [::1]:8080¶Accept: */*¶x-y: z¶¶"),
        Written(request("OPTIONS", target: "*"), "OPTIONS * HTTP/1.1¶Host: h¶¶"),
        Written(request("CONNECT", target: "h:443", host: "h:443"), "CONNECT h:443 HTTP/1.1¶Host: h:443¶¶"),
        Written(request(host: ""), "GET / HTTP/1.1¶Host: ¶¶"),
        // H1g: who expects content says that there is none.
        Written(request("POST"), "POST / HTTP/1.1¶Host: h¶Content-Length: 0¶¶"),
        Written(request("PUT"), "PUT / HTTP/1.1¶Host: h¶Content-Length: 0¶¶"),
        Written(request("PATCH"), "PATCH / HTTP/1.1¶Host: h¶Content-Length: 0¶¶"),
        Written(request("DELETE"), "DELETE / HTTP/1.1¶Host: h¶¶"),
        Written(request("HEAD", fields: [("Content-Length", "0")]), "HEAD / HTTP/1.1¶Host: h¶¶"),
        Written(request("GET", framing: .length(5)), "GET / HTTP/1.1¶Host: h¶Content-Length: 5¶¶"),
        // H1f: exactly one framing, however the caller spelled it.
        Written(
            request("POST", fields: [("content-LENGTH", "7")], framing: .length(7)),
            "POST / HTTP/1.1¶Host: h¶Content-Length: 7¶¶"),
        Written(
            request("POST", fields: [("Content-Length", "7"), ("CONTENT-LENGTH", "7")], framing: .length(7)),
            "POST / HTTP/1.1¶Host: h¶Content-Length: 7¶¶"),
        Written(
            request("POST", fields: [("transfer-encoding", "Chunked")], framing: .chunked),
            "POST / HTTP/1.1¶Host: h¶Transfer-Encoding: chunked¶¶"),
        Written(
            request(fields: [("HOST", "other.example:81"), ("A", "b")]), "GET / HTTP/1.1¶Host: other.example:81¶A: b¶¶"),
        // What speaks of the connection is ours to say.
        Written(request(close: true), "GET / HTTP/1.1¶Host: h¶Connection: close¶¶"),
        Written(request(fields: [("Connection", "Keep-Alive , CLOSE")]), "GET / HTTP/1.1¶Host: h¶Connection: close¶¶"),
        Written(
            request(fields: [("connection", "keep-alive"), ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "x")]),
            "GET / HTTP/1.1¶Host: h¶¶"),
        Written(
            request(fields: [("Upgrade", "h2c"), ("Connection", "upgrade")], close: true),
            "GET / HTTP/1.1¶Host: h¶Upgrade: h2c¶Connection: close, upgrade¶¶"),
        Written(request(fields: [("Connection", "upgrade, ,")]), "GET / HTTP/1.1¶Host: h¶¶"),
        Written(request(fields: [("TE", "Trailers")]), "GET / HTTP/1.1¶Host: h¶TE: Trailers¶Connection: TE¶¶"),
        Written(
            request("PUT", framing: .chunked, expect: true),
            "PUT / HTTP/1.1¶Host: h¶Transfer-Encoding: chunked¶Expect: 100-continue¶¶"),
        Written(
            request("PUT", fields: [("expect", "100-Continue")], framing: .length(1)),
            "PUT / HTTP/1.1¶Host: h¶Content-Length: 1¶Expect: 100-continue¶¶"),
        Written(request("PUT", framing: .length(0), expect: true), "PUT / HTTP/1.1¶Host: h¶Content-Length: 0¶¶"),
        Written(
            request(fields: [("cookie", "a=1"), ("X", ""), ("Cookie", "b=2"), ("COOKIE", "c=3")]),
            "GET / HTTP/1.1¶Host: h¶cookie: a=1; b=2; c=3¶X: ¶¶"),
        Written(request(fields: [("X", "t\tab é")]), "GET / HTTP/1.1¶Host: h¶X: t\tab é¶¶"),
    ]

    @Test("H1f, H1g: a head is written with one Host, one framing and one Connection", arguments: heads)
    func writes(written: Written) throws {
        #expect(try Self.written(written.head) == written.text)
    }

    @Test("A head that was written says what the caller's fields added")
    func writtenHead() throws {
        var buffer = ByteBuffer()
        let plain = try HTTP1RequestWriter.write(Self.request(), into: &buffer)
        #expect(!plain.closesConnection && !plain.expectsContinue && plain.kind == .other)
        #expect(try HTTP1RequestWriter.write(Self.request("HEAD"), into: &buffer).kind == .head)
        #expect(try HTTP1RequestWriter.write(Self.request("CONNECT"), into: &buffer).kind == .connect)
        #expect(try HTTP1RequestWriter.write(Self.request(fields: [("Upgrade", "x")]), into: &buffer).kind == .upgrade)
        #expect(
            try HTTP1RequestWriter.write(Self.request(fields: [("Connection", "close")]), into: &buffer)
                .closesConnection)
        let expecting = Self.request("PUT", fields: [("Expect", "100-continue")], framing: .chunked)
        #expect(try HTTP1RequestWriter.write(expecting, into: &buffer).expectsContinue)
        #expect(try !HTTP1RequestWriter.write(Self.request(expect: true), into: &buffer).expectsContinue)
    }

    struct Refused: Sendable {
        let head: HTTP1RequestHead
        let reason: HTTP1RequestError.Reason
        init(_ head: HTTP1RequestHead, _ reason: HTTP1RequestError.Reason) { (self.head, self.reason) = (head, reason) }
    }

    static let refusedMethods = ["", "G T", "GET ", "G\r\nX: y", "GÉT", "GET\u{0}", "G:T"].map {
        Refused(request($0), .invalidMethod)
    }

    static let refusedTargets = ["", "/ ", "/a b", "/\r\nX: y", "/\u{0}", "/\u{7F}", "/é", "/\t"].map {
        Refused(request(target: $0), .invalidTarget)
    }

    static let refusedHosts: [Refused] = [
        "h\r\nX: y", "h y", "u@h", "h/x", "h?x", "h#x", "h\\x", "h\u{0}", "hé", "h:", "h:x", "h:123456", "h:1:2", "::1",
        "[::1", "[]", "[::1]x", "[::1]:", "[:/:1]", ":80", "[h]", "[1::2]:80:90",
    ].flatMap { host -> [Refused] in
        [Refused(request(host: host), .invalidHost), Refused(request(fields: [("Host", host)]), .invalidHost)]
    }

    static let refusedFields: [Refused] = [
        Refused(request(fields: [("Host", "")]), .invalidHost),
        Refused(request(fields: [("Host", "a"), ("host", "a")]), .repeatedHost),
        Refused(request(fields: [("X", "a\u{1}b")]), .invalidFieldValue),
        Refused(request(fields: [("X", "\u{7F}")]), .invalidFieldValue),
        Refused(request(fields: [("Cookie", "a"), ("Cookie", "\u{B}")]), .invalidFieldValue),
        Refused(request("POST", fields: [("Content-Length", "6")], framing: .length(7)), .invalidContentLength),
        Refused(request("POST", fields: [("Content-Length", "07")], framing: .length(7)), .invalidContentLength),
        Refused(request("POST", fields: [("Content-Length", "+7")], framing: .length(7)), .invalidContentLength),
        Refused(
            request("POST", fields: [("Content-Length", "7"), ("content-length", "8")], framing: .length(7)),
            .invalidContentLength),
        Refused(request("POST", fields: [("Content-Length", "7")], framing: .chunked), .invalidContentLength),
        Refused(request("POST", fields: [("Content-Length", "7")]), .invalidContentLength),
        Refused(
            request("POST", fields: [("Transfer-Encoding", "chunked")], framing: .length(7)), .invalidTransferEncoding),
        Refused(request("POST", fields: [("Transfer-Encoding", "chunked")]), .invalidTransferEncoding),
        Refused(
            request("POST", fields: [("TRANSFER-encoding", "gzip, chunked")], framing: .chunked),
            .invalidTransferEncoding),
        Refused(request("POST", fields: [("Transfer-Encoding", "")], framing: .chunked), .invalidTransferEncoding),
        Refused(request(fields: [("Connection", "close, x-hop")]), .unsupportedConnectionOption),
        Refused(request(fields: [("Connection", "close x")]), .unsupportedConnectionOption),
        Refused(request(fields: [("Expect", "the unexpected")]), .unsupportedExpectation),
        Refused(request(fields: [("TE", "gzip")]), .unsupportedTE),
    ]

    @Test(
        "H1d: what could be read otherwise is refused and leaves the buffer as it was",
        arguments: refusedMethods + refusedTargets + refusedHosts + refusedFields)
    func refuses(refused: Refused) {
        var buffer = ByteBuffer(string: "before")
        let error = #expect(throws: HTTP1RequestError.self) {
            try HTTP1RequestWriter.write(refused.head, into: &buffer)
        }
        #expect(error?.reason == refused.reason)
        #expect(String(buffer: buffer) == "before")
    }

    @Test("I1: no single byte in method, target or host puts another line on the wire")
    func everyByte() {
        for byte in UInt8.min...UInt8.max {
            let text = "a" + String(Unicode.Scalar(byte)) + "b"
            let heads = [
                Self.request(text), Self.request(target: "/" + text), Self.request(host: text),
                Self.request(fields: [("X", text)]),
            ]
            for head in heads {
                guard let written = try? Self.written(head) else { continue }
                #expect(written.filter { $0 == "¶" || $0 == "\r" || $0 == "\n" }.count <= 5, "byte \(byte)")
                #expect(written.unicodeScalars.allSatisfy { $0 != "\r" && $0 != "\n" && $0 != "\0" }, "byte \(byte)")
            }
        }
    }

    @Test("I15: an error names the field and never shows a value")
    func errorDescriptions() {
        let error = #expect(throws: HTTP1RequestError.self) {
            _ = try Self.written(Self.request(fields: [("X-Api-Key", "s3cret\u{1}")]))
        }
        #expect(error?.description == "the field value has a control character (field X-Api-Key)")
        let long = String(repeating: "n", count: 1_000)
        let longError = #expect(throws: HTTP1RequestError.self) {
            _ = try Self.written(Self.request(fields: [(long, "\u{1}")]))
        }
        #expect(longError?.description.utf8.count ?? 0 < 120)
    }
}
