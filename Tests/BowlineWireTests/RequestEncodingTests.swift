import BowlineCore
import NIOCore
import Testing

@testable import BowlineTransport

/// The same request encoded for HTTP/1.1 and for HTTP/2.
@Suite struct RequestEncodingTests {
    /// The meaning of an encoded head, in one form for both protocols.
    struct Said: Equatable {
        var method = ""
        var target = ""
        var authority = ""
        /// Names in lower case, sorted: each protocol puts its own fields where it likes.
        var fields: [String] = []
    }

    static func http1(_ request: CheckedRequest) -> Said {
        var buffer = ByteBuffer()
        HTTP1RequestWriter.write(request, into: &buffer)
        var lines = String(buffer: buffer).split(separator: "\r\n")
        var said = Said()
        let start = lines.removeFirst().split(separator: " ")
        (said.method, said.target) = (String(start[0]), String(start[1]))
        for line in lines {
            let name = line.prefix { $0 != ":" }.lowercased()
            let value = String(line.dropFirst(name.count + 2))
            switch name {
            case "host": said.authority = value
            // Of the connection, or of a framing that HTTP/2 does not need.
            case "connection", "transfer-encoding": break
            case "cookie":
                for pair in value.split(separator: "; ") { said.fields.append("cookie: \(pair)") }
            case "te": said.fields.append("te: \(value.lowercased())")
            default: said.fields.append("\(name): \(value)")
            }
        }
        said.fields.sort()
        return said
    }

    static func http2(_ request: CheckedRequest) throws -> Said {
        let head = HTTP2RequestHead(request, scheme: "https")
        var encoder = HPACKSectionEncoder()
        var block = ByteBuffer()
        encoder.begin(into: &block)
        head.encode(with: &encoder, into: &block)
        var decoder = HPACKSectionDecoder()
        let fields = try decoder.decode(block, limits: HPACKLimits(), allocator: ByteBufferAllocator())
        #expect(head.listSize == fields.listSize)
        #expect(head.listSizeBound >= fields.listSize)
        var said = Said()
        for index in fields.spans.indices {
            let (name, value) = (fields.name(at: index), fields.value(at: index))
            switch name {
            case ":method": said.method = value
            case ":path": said.target = value
            case ":authority": said.authority = value
            case ":scheme": #expect(value == "https")
            default: said.fields.append("\(name): \(value)")
            }
        }
        said.fields.sort()
        return said
    }

    @Test(
        "Both protocols encode a request with the same meaning",
        arguments: [
            RequestDraft(),
            RequestDraft("PURGE", target: "/a%20b?c=d", host: "[::1]:8080", fields: [("Accept", "*/*"), ("x-Y", "z")]),
            RequestDraft("OPTIONS", target: "*"),
            RequestDraft(host: ""),
            RequestDraft("POST"), RequestDraft("PATCH"), RequestDraft("DELETE"),
            RequestDraft("POST", framing: .length(0)), RequestDraft("GET", framing: .length(5)),
            RequestDraft("POST", fields: [("content-LENGTH", "7")], framing: .length(7)),
            RequestDraft("POST", fields: [("Transfer-Encoding", "chunked")], framing: .chunked),
            RequestDraft(fields: [("HOST", "other.example:81"), ("A", "b")]),
            RequestDraft(fields: [("Connection", "close"), ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "x")]),
            RequestDraft(fields: [("TE", "Trailers"), ("Accept", "*/*")], close: true),
            RequestDraft(fields: [("Authorization", "secret"), ("Proxy-Authorization", "s"), ("Accept", "*/*")]),
            RequestDraft("PUT", fields: [("Authorization", "secret")], framing: .chunked, expect: true),
            RequestDraft("PUT", fields: [("expect", "100-Continue")], framing: .length(1)),
            RequestDraft("PUT", fields: [("expect", "100-continue")], framing: .length(0)),
            RequestDraft("PUT", fields: [("expect", "100-continue")], framing: .chunked, hasContent: false),
            RequestDraft(fields: [("cookie", "a=1"), ("X", ""), ("Cookie", "b=2; c=3"), ("COOKIE", "d=4")]),
            RequestDraft(fields: [("X", "t\tab é")]),
        ])
    func same(draft: RequestDraft) throws {
        let request = try draft.checked()
        #expect(try Self.http2(request) == Self.http1(request))
    }

    @Test("A request with the caller's fields is encoded completely")
    func said() throws {
        let request = try RequestDraft(
            "PUT", target: "/a", host: "u",
            fields: [("Host", "h"), ("Cookie", "a=1; b=2"), ("TE", "trailers"), ("X", "y")],
            framing: .length(3), close: true, expect: true
        ).checked()
        var said = Said(method: "PUT", target: "/a", authority: "h")
        said.fields = [
            "content-length: 3", "cookie: a=1", "cookie: b=2", "expect: 100-continue", "te: trailers", "x: y",
        ]
        #expect(Self.http1(request) == said)
        #expect(try Self.http2(request) == said)
    }
}
