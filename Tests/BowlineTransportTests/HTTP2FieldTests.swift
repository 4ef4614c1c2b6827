import BowlineCore
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("Field sections over HTTP/2")
struct HTTP2FieldTests {
    private func read(_ fields: [(String, String)], isTrailer: Bool = false) throws -> HTTP2FieldSection {
        var encoder = HPACKSectionEncoder()
        let block = Self.encoded(&encoder) { encoder, block in
            for (name, value) in fields {
                encoder.encode(name: Array(name.utf8), value: Array(value.utf8), into: &block)
            }
        }
        return try HTTP2FieldSection(try Self.decoded(block), isTrailer: isTrailer, maximumFields: 4)
    }

    private static func encoded(
        _ encoder: inout HPACKSectionEncoder, _ encode: (inout HPACKSectionEncoder, inout ByteBuffer) -> Void
    ) -> ByteBuffer {
        var block = ByteBuffer()
        encoder.begin(into: &block)
        encode(&encoder, &block)
        return block
    }

    private static func decoded(_ block: ByteBuffer, maximumListSize: Int = 81_920) throws -> HPACKFields {
        var decoder = HPACKSectionDecoder()
        var limits = HPACKLimits()
        limits.maximumListSize = maximumListSize
        return try decoder.decode(block, limits: limits, allocator: ByteBufferAllocator())
    }

    /// The names and values that a source writes.
    private static func written(_ source: some HTTP2FieldSource) throws -> [String] {
        var encoder = HPACKSectionEncoder()
        let fields = try decoded(encoded(&encoder) { source.encode(with: &$0, into: &$1) })
        #expect(source.listSize == fields.listSize)
        return fields.spans.indices.map { "\(fields.name(at: $0)): \(fields.value(at: $0))" }
    }

    private static func head(_ fields: HTTPFields) throws -> HTTP2RequestHead {
        HTTP2RequestHead(try CheckedRequest(method: "GET", target: "/", authority: "", fields: fields), scheme: "https")
    }

    @Test("A response's section gives status, fields and length")
    func response() throws {
        let section = try read([(":status", "200"), ("content-length", "12"), ("x-a", " b\t"), ("set-cookie", "")])
        #expect(section.status == 200)
        #expect(section.contentLength == 12)
        #expect(section.fields.first("x-a") == "b")
        #expect(section.fields.first("set-cookie") == "")
        #expect(section.fields.map(\.name) == ["content-length", "x-a", "set-cookie"])
    }

    @Test(
        "a malformed section is refused", .tags(.H2q, .I5),
        arguments: [
            [], [("server", "x")], [(":status", "200"), (":status", "200")], [(":status", "20")],
            [(":status", "2000")], [(":status", "+20")], [(":status", "099")], [("server", "x"), (":status", "200")],
            [(":status", "200"), (":path", "/")], [(":status", "200"), ("Server", "x")],
            [(":status", "200"), ("a b", "x")],
            [(":status", "200"), ("", "x")], [(":status", "200"), ("connection", "close")],
            [(":status", "200"), ("transfer-encoding", "chunked")], [(":status", "200"), ("upgrade", "x")],
            [(":status", "200"), ("keep-alive", "timeout=5")], [(":status", "200"), ("proxy-connection", "close")],
            [(":status", "200"), ("größe", "x")], [(":status", "200"), ("a:b", "x")], [(":status", "200"), (":", "x")],
            [(":Status", "200")], [(":status", " 200")], [(":status", "")],
            [(":status", "200"), ("x", "a\nb")], [(":status", "200"), ("x", "a\rb")],
            [(":status", "200"), ("x", "a\0")], [(":status", "200"), ("x", "eight..\u{7F}")],
            [(":status", "200"), ("content-length", " 5")],
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

    @Test("A value keeps every byte above 0x7F and each inner tab")
    func opaqueBytes() throws {
        let bytes = Array("a\tb".utf8) + [UInt8](0x80...0xFF)
        var encoder = HPACKSectionEncoder()
        let block = Self.encoded(&encoder) { encoder, block in
            encoder.encode(name: ":status", value: "200", indexing: .automatic, into: &block)
            encoder.encode(name: Array("x-a".utf8), value: bytes, into: &block)
        }
        let section = try HTTP2FieldSection(try Self.decoded(block), isTrailer: false, maximumFields: 4)
        #expect(section.fields.withFirst("x-a") { Array($0) } == bytes)
    }

    @Test("trailers have no pseudo-field", .tags(.H2s))
    func trailers() throws {
        #expect(try read([("x-sum", "1")], isTrailer: true).status == nil)
        #expect(throws: HTTP2FieldError.self) { try read([(":status", "200")], isTrailer: true) }
    }

    @Test("A request's section has pseudo-fields first, lower-case names, single cookies and no connection fields")
    func request() throws {
        var fields: HTTPFields = [:]
        for (name, value) in [
            ("X-Upper", "y"), ("Cookie", "a=1; b=2"), ("Connection", "close"), ("Host", "other:81"), ("TE", "Trailers"),
            ("Authorization", "secret"), ("Keep-Alive", "1"), ("Proxy-Connection", "x"), ("Content-Length", "5"),
        ] {
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        let request = try CheckedRequest(
            method: "POST", target: "/a?b", authority: "example.com", fields: fields, framing: .length(5),
            expectContinue: true)
        let head = HTTP2RequestHead(request, scheme: "https")
        #expect(
            try Self.written(head) == [
                ":method: POST", ":scheme: https", ":authority: other:81", ":path: /a?b", "x-upper: y",
                "cookie: a=1", "cookie: b=2", "te: trailers", "authorization: secret", "content-length: 5",
                "expect: 100-continue",
            ])
    }

    @Test("Chunked framing exists only in HTTP/1.1: no length and no Transfer-Encoding is sent")
    func chunked() throws {
        var fields: HTTPFields = [:]
        fields[try #require(HTTPField.Name("Transfer-Encoding"))] = "chunked"
        let request = try CheckedRequest(
            method: "POST", target: "/", authority: "a", fields: fields, framing: .chunked)
        #expect(
            try Self.written(HTTP2RequestHead(request, scheme: "https")) == [
                ":method: POST", ":scheme: https", ":authority: a", ":path: /",
            ])
    }

    @Test("Cookie pairs are split at semicolons; empty pairs and surrounding whitespace are omitted")
    func cookies() throws {
        for (value, pairs) in [
            ("a=1", ["a=1"]), ("a=1;b=2", ["a=1", "b=2"]), (";; a=1;  b=2 ;", ["a=1", "b=2"]), (";", []),
            ("a=1 ;\tb=2\t; ;c= 3", ["a=1", "b=2", "c= 3"]),
            ("a=\";\"", ["a=\"", "\""]),
        ] {
            var fields: HTTPFields = [:]
            fields[.cookie] = value
            let head = try Self.head(fields)
            #expect(try Self.written(head).dropFirst(3) == pairs.map { "cookie: \($0)" }[...], "\(value)")
        }
    }

    @Test("§8.2.1: whitespace at a value's ends, which HTTP/1.1 allows, is not sent")
    func whitespace() throws {
        let name = try #require(HTTPField.Name("x-a"))
        for (value, sent) in [(" \tv\t w\t ", "v\t w"), (" \t", ""), ("", ""), ("v", "v"), ("\tGrüße ", "Grüße")] {
            var fields: HTTPFields = [:]
            fields.append(HTTPField(name: name, lenientValue: Array(value.utf8)))
            let head = try Self.head(fields)
            #expect(try Self.written(head).last == "x-a: \(sent)")
            #expect(try Self.written(HTTP2RequestTrailers(CheckedTrailers(fields))) == ["x-a: \(sent)"])
        }
    }

    @Test(
        "Secret and marked fields never enter the compression table; fields marked for it do"
    )
    func indexing() throws {
        func tableCount(
            _ name: String, _ value: String, _ strategy: HTTPField.DynamicTableIndexingStrategy
        ) throws -> Int {
            var field = HTTPField(name: try #require(HTTPField.Name(name)), value: value)
            field.indexingStrategy = strategy
            var fields: HTTPFields = [:]
            fields.append(field)
            var encoder = HPACKSectionEncoder()
            let head = try Self.head(fields)
            _ = Self.encoded(&encoder) { head.encode(with: &$0, into: &$1) }
            return encoder.tableCount
        }
        let long = String(repeating: "v", count: 40)
        #expect(try tableCount("x-tenant", "a", .automatic) == 1)
        #expect(try tableCount("x-tenant", "a", .disallow) == 0)
        #expect(try tableCount("x-tenant", "a", .avoid) == 0)
        #expect(try tableCount("x-request-id", "a", .automatic) == 0)
        #expect(try tableCount("x-request-id", "a", .prefer) == 1)
        #expect(try tableCount("authorization", long, .prefer) == 0)
        #expect(try tableCount("proxy-authorization", long, .automatic) == 0)
        #expect(try tableCount("cookie", long, .prefer) == 0)
    }

    @Test(
        "A section above the limits is refused with that reason, and the caller gets none of its bytes",
        .tags(.H2p))
    func tooLarge() throws {
        var encoder = HPACKSectionEncoder()
        let block = Self.encoded(&encoder) { encoder, block in
            encoder.encode(name: ":status", value: "200", indexing: .automatic, into: &block)
            encoder.encode(name: "x", value: String(repeating: "v", count: 200), indexing: .automatic, into: &block)
        }
        let fields = try Self.decoded(block, maximumListSize: 100)
        let error = #expect(throws: HTTP2FieldError.self) {
            try HTTP2FieldSection(fields, isTrailer: false, maximumFields: 4)
        }
        #expect(error?.isLimit == true)
    }
}

extension HPACKSectionEncoder {
    fileprivate mutating func encode(name: [UInt8], value: [UInt8], into block: inout ByteBuffer) {
        name.withUnsafeBytes { name in
            value.withUnsafeBytes { value in encode(name: name, value: value, indexing: .automatic, into: &block) }
        }
    }
}
