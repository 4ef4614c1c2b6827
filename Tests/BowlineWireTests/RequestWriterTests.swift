import NIOCore
import Testing

@testable import BowlineTransport

/// HTTP/1.1 request heads.
@Suite struct RequestWriterTests {
    private static func written(_ draft: RequestDraft) throws -> String {
        let request = try draft.checked()
        var buffer = ByteBuffer()
        HTTP1RequestWriter.write(request, into: &buffer)
        #expect(buffer.readableBytes <= request.maximumHeadBytes)
        return String(buffer: buffer).replacing("\r\n", with: "¶")
    }

    struct Written: Sendable {
        let head: RequestDraft
        let text: String
        init(_ head: RequestDraft, _ text: String) { (self.head, self.text) = (head, text) }
    }

    static let heads: [Written] = [
        Written(RequestDraft(), "GET / HTTP/1.1¶Host: h¶¶"),
        Written(
            RequestDraft("PURGE", target: "/a%20b?c=d", host: "[::1]:8080", fields: [("Accept", "*/*"), ("x-y", "z")]),
            "PURGE /a%20b?c=d HTTP/1.1¶Host: [::1]:8080¶Accept: */*¶x-y: z¶¶"),
        Written(RequestDraft("OPTIONS", target: "*"), "OPTIONS * HTTP/1.1¶Host: h¶¶"),
        Written(RequestDraft("CONNECT", target: "h:443", host: "h:443"), "CONNECT h:443 HTTP/1.1¶Host: h:443¶¶"),
        Written(RequestDraft(host: ""), "GET / HTTP/1.1¶Host: ¶¶"),
        // H1g: a method that anticipates content sends a length of 0 without content.
        Written(RequestDraft("POST"), "POST / HTTP/1.1¶Host: h¶Content-Length: 0¶¶"),
        Written(RequestDraft("PUT"), "PUT / HTTP/1.1¶Host: h¶Content-Length: 0¶¶"),
        Written(RequestDraft("PATCH"), "PATCH / HTTP/1.1¶Host: h¶Content-Length: 0¶¶"),
        Written(RequestDraft("DELETE"), "DELETE / HTTP/1.1¶Host: h¶¶"),
        Written(RequestDraft("HEAD", fields: [("Content-Length", "0")]), "HEAD / HTTP/1.1¶Host: h¶¶"),
        Written(RequestDraft("GET", framing: .length(5)), "GET / HTTP/1.1¶Host: h¶Content-Length: 5¶¶"),
        // H1f: the head has exactly one framing, whatever fields the caller set.
        Written(
            RequestDraft("POST", fields: [("content-LENGTH", "7")], framing: .length(7)),
            "POST / HTTP/1.1¶Host: h¶Content-Length: 7¶¶"),
        Written(
            RequestDraft("POST", fields: [("Content-Length", "7"), ("CONTENT-LENGTH", "7")], framing: .length(7)),
            "POST / HTTP/1.1¶Host: h¶Content-Length: 7¶¶"),
        Written(
            RequestDraft("POST", fields: [("transfer-encoding", "Chunked")], framing: .chunked),
            "POST / HTTP/1.1¶Host: h¶Transfer-Encoding: chunked¶¶"),
        Written(
            RequestDraft(fields: [("HOST", "other.example:81"), ("A", "b")]),
            "GET / HTTP/1.1¶Host: other.example:81¶A: b¶¶"),
        // Only the client writes connection fields.
        Written(RequestDraft(close: true), "GET / HTTP/1.1¶Host: h¶Connection: close¶¶"),
        Written(
            RequestDraft(fields: [("Connection", "Keep-Alive , CLOSE")]), "GET / HTTP/1.1¶Host: h¶Connection: close¶¶"),
        Written(
            RequestDraft(fields: [("connection", "keep-alive"), ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "x")]
            ),
            "GET / HTTP/1.1¶Host: h¶¶"),
        Written(
            RequestDraft(fields: [("Upgrade", "h2c"), ("Connection", "upgrade")], close: true),
            "GET / HTTP/1.1¶Host: h¶Upgrade: h2c¶Connection: close, upgrade¶¶"),
        Written(RequestDraft(fields: [("Connection", "upgrade, ,")]), "GET / HTTP/1.1¶Host: h¶¶"),
        Written(RequestDraft(fields: [("TE", "Trailers")]), "GET / HTTP/1.1¶Host: h¶TE: Trailers¶Connection: TE¶¶"),
        Written(
            RequestDraft("PUT", framing: .chunked, expect: true),
            "PUT / HTTP/1.1¶Host: h¶Transfer-Encoding: chunked¶Expect: 100-continue¶¶"),
        Written(
            RequestDraft("PUT", fields: [("expect", "100-Continue")], framing: .length(1)),
            "PUT / HTTP/1.1¶Host: h¶Content-Length: 1¶Expect: 100-continue¶¶"),
        Written(RequestDraft("PUT", framing: .length(0), expect: true), "PUT / HTTP/1.1¶Host: h¶Content-Length: 0¶¶"),
        Written(
            RequestDraft(fields: [("cookie", "a=1"), ("X", ""), ("Cookie", "b=2"), ("COOKIE", "c=3")]),
            "GET / HTTP/1.1¶Host: h¶cookie: a=1; b=2; c=3¶X: ¶¶"),
        Written(RequestDraft(fields: [("X", "t\tab é")]), "GET / HTTP/1.1¶Host: h¶X: t\tab é¶¶"),
        // All that is written besides the caller's fields: the head's memory is measured for no more.
        Written(
            RequestDraft("PUT", framing: .length(.max)), "PUT / HTTP/1.1¶Host: h¶Content-Length: 9223372036854775807¶¶"),
        Written(
            RequestDraft(
                "PUT", fields: [("Upgrade", "a"), ("TE", "trailers")], framing: .length(.max), close: true, expect: true
            ),
            "PUT / HTTP/1.1¶Host: h¶Upgrade: a¶TE: trailers¶Content-Length: 9223372036854775807¶"
                + "Connection: close, upgrade, TE¶Expect: 100-continue¶¶"),
    ]

    @Test("a head is written with one Host, one framing and one Connection", .tags(.H1f, .H1g), arguments: heads)
    func writes(written: Written) throws {
        #expect(try Self.written(written.head) == written.text)
    }

    @Test("A head is appended, and leaves what was in the buffer before it")
    func appends() throws {
        var buffer = ByteBuffer(string: "before")
        HTTP1RequestWriter.write(try RequestDraft().checked(), into: &buffer)
        #expect(String(buffer: buffer) == "beforeGET / HTTP/1.1\r\nHost: h\r\n\r\n")
    }

    @Test("No byte in method, target or host can add a line on the wire", .tags(.I1))
    func everyByte() {
        for byte in UInt8.min...UInt8.max {
            let text = "a" + String(Unicode.Scalar(byte)) + "b"
            let heads = [
                RequestDraft(text), RequestDraft(target: "/" + text), RequestDraft(host: text),
                RequestDraft(fields: [("X", text)]),
            ]
            for head in heads {
                guard let written = try? Self.written(head) else { continue }
                #expect(written.filter { $0 == "¶" || $0 == "\r" || $0 == "\n" }.count <= 5, "byte \(byte)")
                #expect(written.unicodeScalars.allSatisfy { $0 != "\r" && $0 != "\n" && $0 != "\0" }, "byte \(byte)")
            }
        }
    }
}
