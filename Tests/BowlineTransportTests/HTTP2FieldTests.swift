import BowlineCore
import NIOCore
import NIOHPACK
import Testing

@testable import BowlineTransport

@Suite("Field sections over HTTP/2")
struct HTTP2FieldTests {
    private func read(_ fields: [(String, String)], isTrailer: Bool = false) throws -> HTTP2FieldSection {
        try HTTP2FieldSection(
            HPACKHeaders(fields), isTrailer: isTrailer, maximumFields: 4, allocator: ByteBufferAllocator())
    }

    @Test("A response's section gives status, fields and length")
    func response() throws {
        let section = try read([(":status", "200"), ("content-length", "12"), ("x-a", " b\t"), ("set-cookie", "")])
        #expect(section.status == 200 && section.contentLength == 12)
        #expect(section.fields.first("x-a") == "b")
        #expect(section.fields.first("set-cookie") == "")
        #expect(section.fields.map(\.name) == ["content-length", "x-a", "set-cookie"])
    }

    @Test(
        "H2q a malformed section is refused",
        arguments: [
            [], [("server", "x")], [(":status", "200"), (":status", "200")], [(":status", "20")],
            [(":status", "2000")], [(":status", "+20")], [(":status", "099")], [("server", "x"), (":status", "200")],
            [(":status", "200"), (":path", "/")], [(":status", "200"), ("Server", "x")],
            [(":status", "200"), ("a b", "x")],
            [(":status", "200"), ("", "x")], [(":status", "200"), ("connection", "close")],
            [(":status", "200"), ("transfer-encoding", "chunked")], [(":status", "200"), ("upgrade", "x")],
            [(":status", "200"), ("x", "a\nb")], [(":status", "200"), ("x", "a\rb")],
            [(":status", "200"), ("x", "a\0")],
            [(":status", "200"), ("content-length", "x")], [(":status", "200"), ("content-length", "-1")],
            [(":status", "200"), ("content-length", "+5")], [(":status", "200"), ("content-length", "")],
            [(":status", "200"), ("content-length", "5, 5")],
            [(":status", "200"), ("content-length", "9223372036854775808")],
            [(":status", "200"), ("content-length", "1"), ("content-length", "2")],
            [(":status", "200"), ("a", ""), ("b", ""), ("c", ""), ("d", ""), ("e", "")],
        ] as [[(String, String)]])
    func malformed(fields: [(String, String)]) {
        #expect(throws: HTTP2FieldError.self) { try read(fields) }
    }

    @Test("H2s trailers have no pseudo-field")
    func trailers() throws {
        #expect(try read([("x-sum", "1")], isTrailer: true).status == nil)
        #expect(throws: HTTP2FieldError.self) { try read([(":status", "200")], isTrailer: true) }
    }

    @Test("A request's section: pseudo-fields first, names in lower case, cookies one by one, nothing of a connection")
    func request() {
        var fields: HTTPFields = [:]
        for (name, value) in [
            ("X-Upper", "y"), ("Cookie", "a=1; b=2"), ("Connection", "close"), ("Host", "other"), ("TE", "trailers"),
            ("Authorization", "secret"), ("Keep-Alive", "1"), ("Transfer-Encoding", "chunked"),
        ] {
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        let headers = HTTP2RequestHead(
            method: "POST", scheme: "https", authority: "example.com", target: "/a?b", fields: fields,
            contentLength: 5, expectsContinue: false
        ).makeFields()
        let written = headers.map { "\($0.name): \($0.value)" }
        #expect(
            written == [
                ":method: POST", ":scheme: https", ":authority: example.com", ":path: /a?b", "x-upper: y",
                "cookie: a=1", "cookie: b=2", "te: trailers", "authorization: secret", "content-length: 5",
            ])
    }
}
