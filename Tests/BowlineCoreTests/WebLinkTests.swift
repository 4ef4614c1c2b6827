import BowlineCore
import NIOCore
import Testing

@Suite("Links that a response names (RFC 8288)")
struct WebLinkTests {
    private static let base = "https://api.example/v1/orders?page=1"

    private func response(_ values: [String], at url: String? = base) throws -> ServiceResponse {
        let name = try #require(HTTPField.Name("Link"))
        let fields = HTTPFields(values.map { HTTPField(name: name, value: $0) })
        return ServiceResponse(
            status: .ok, fields: fields, facts: ResponseFacts(url: try url.map { try ServiceURL($0) }))
    }

    /// `target rel,rel` for each link.
    private func summary(_ links: [WebLink]) -> [String] {
        links.map { "\($0.target.absoluteString) \($0.relations.joined(separator: ","))" }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let values: [String]
        let links: [String]
        var testDescription: String { name }

        init(_ name: String, _ values: String..., links: [String]) {
            self.name = name
            self.values = values
            self.links = links
        }
    }

    static let cases: [Case] = [
        Case("no field", links: []),
        Case("an empty field", "", " \t", ",", links: []),
        Case(
            "a path that repeats the base's leads there once", "</v1/orders?page=2>; rel=\"next\"",
            links: ["https://api.example/v1/orders?page=2 next"]),
        Case("a query alone", "<?page=2>; rel=next", links: ["https://api.example/v1/orders?page=2 next"]),
        Case("a relative path", "<42>;rel=item", links: ["https://api.example/v1/42 item"]),
        Case("dot segments", "<../v2/./orders>;rel=item", links: ["https://api.example/v2/orders item"]),
        Case("an empty reference is the response's own URL", "<>; rel=self", links: ["\(base) self"]),
        Case(
            "a fragment is dropped", "<#a>; rel=self, </b#c>; rel=x",
            links: ["\(base) self", "https://api.example/b x"]),
        Case("another host", "<//b.example/x>; rel=x", links: ["https://b.example/x x"]),
        Case("another origin", "<http://b.example:81/x>; rel=x", links: ["http://b.example:81/x x"]),
        Case(
            "RFC 8288 §3.5: two parameters",
            "<http://example.com/TheBook/chapter2>; rel=\"previous\"; title=\"previous chapter\"",
            links: ["http://example.com/TheBook/chapter2 previous"]),
        Case(
            "RFC 8288 §3.5: an extension type", "</>; rel=\"http://example.net/foo\"",
            links: ["https://api.example/ http://example.net/foo"]),
        Case(
            "RFC 8288 §3.5: an anchor", "</terms>; rel=\"copyright\"; anchor=\"#foo\"",
            links: ["https://api.example/terms copyright"]),
        Case(
            "RFC 8288 §3.5: encoded titles, and two links",
            "</TheBook/chapter2>; rel=\"previous\"; title*=UTF-8'de'letztes%20Kapitel, "
                + "</TheBook/chapter4>; rel=\"next\"; title*=UTF-8'de'n%c3%a4chstes%20Kapitel",
            links: ["https://api.example/TheBook/chapter2 previous", "https://api.example/TheBook/chapter4 next"]),
        Case(
            "RFC 8288 §3.5: several types in one link",
            "<http://example.org/>; rel=\"start http://example.net/relation/other\"",
            links: ["http://example.org/ start,http://example.net/relation/other"]),
        Case(
            "RFC 8288 §3.5: one type in two links",
            "<https://example.org/>; rel=\"start\", <https://example.org/index>; rel=\"index\"",
            links: ["https://example.org/ start", "https://example.org/index index"]),
        Case(
            "several fields, in order", "</a>; rel=a", "</b>; rel=b, </c>; rel=c",
            links: ["https://api.example/a a", "https://api.example/b b", "https://api.example/c c"]),
        Case("types are compared in lower case", "</a>; REL=\"Next LAST\"", links: ["https://api.example/a next,last"]),
        Case("whitespace between types", "</a>; rel=\" a \t b  \"", links: ["https://api.example/a a,b"]),
        Case(
            "commas and semicolons within a target", "</a,b;c>; rel=x, </d>; rel=y",
            links: ["https://api.example/a,b;c x", "https://api.example/d y"]),
        Case(
            "commas, semicolons and brackets within quotes", "</a>; title=\"x, <y>; rel=z\"; rel=a,</b>;rel=b",
            links: ["https://api.example/a a", "https://api.example/b b"]),
        Case(
            "escaped quotes", #"</a>; title="say \"hi\\, <b>"; rel=a, </c>; rel=c"#,
            links: ["https://api.example/a a", "https://api.example/c c"]),
        Case("an escape in rel", #"</a>; rel="ne\xt""#, links: ["https://api.example/a next"]),
        Case(
            "whitespace wherever it may stand", "  </a>  ;  rel  =  next  ,\t</b>;\trel\t=\t\"last\"\t",
            links: ["https://api.example/a next", "https://api.example/b last"]),
        Case("the first rel counts", "</a>; rel=next; rel=last", links: ["https://api.example/a next"]),
        Case(
            "parameters without a value, and without a name", "</a>; x; ; =y; rel=next",
            links: ["https://api.example/a next"]),
        Case(
            "empty elements", ",, </a>; rel=a ,, , </b>; rel=b,",
            links: ["https://api.example/a a", "https://api.example/b b"]),
        Case(
            "no rel, an empty one, one of spaces",
            "</a>, </b>; rel, </c>; rel=, </d>; rel=\"  \", </e>; rev=x, </f>; rel=f",
            links: ["https://api.example/f f"]),
        Case(
            "targets that are no URL to be asked",
            "<mailto:a@b>; rel=x, <http://u:p@h/>; rel=x, <http://h:99999/>; rel=x, "
                + "<ftp://h/>; rel=x, <//>; rel=x, </ok>; rel=x", links: ["https://api.example/ok x"]),
        Case(
            "a socket of this machine", "<http+unix://%2Frun%2Fa.sock/x>; rel=x, </ok>; rel=x",
            links: ["https://api.example/ok x"]),
        Case("a target with lost bytes", "</\u{FFFD}>; rel=x, </ok>; rel=x", links: ["https://api.example/ok x"]),
        Case(
            "a target longer than 16 KiB", "</\(String(repeating: "a", count: 16_384))>; rel=x, </ok>; rel=x",
            links: ["https://api.example/ok x"]),
        Case("characters that a URL cannot have", "</a b/ä>; rel=x", links: ["https://api.example/a%20b/%C3%A4 x"]),
        Case(
            "no list of links: it is read up to there", "</a>; rel=a, b, </c>; rel=c", "</d>; rel=d",
            links: ["https://api.example/a a", "https://api.example/d d"]),
        Case(
            "text behind a quoted value ends the field", "</a>; rel=\"a\"b, </c>; rel=c",
            links: ["https://api.example/a a"]),
        Case(
            "a space with a combining mark separates relations", "</a>; rel=\"a \u{31B}b\"",
            links: ["https://api.example/a a,\u{31B}b"]),
        Case("a target without its end", "</a>; rel=a, </b; rel=b", links: ["https://api.example/a a"]),
        Case(
            "a quoted value without its end", "</a>; rel=\"a, </b>; rel=b",
            links: ["https://api.example/a a,,</b>;,rel=b"]),
        Case("a backslash at the end", #"</a>; rel="a\"#, links: [#"https://api.example/a a\"#]),
        Case(
            "nothing behind the separators", "</a>; rel=a;", "</b>;", "</c>; rel=\"", "<",
            links: ["https://api.example/a a"]),
    ]

    @Test("A field's links are resolved against the URL of the response", arguments: cases)
    func links(example: Case) throws {
        #expect(summary(try response(example.values).links) == example.links)
    }

    @Test("A response without a client has only the absolute links")
    func withoutURL() throws {
        let links = try response(["</a>; rel=a, <http://h/b>; rel=b, <?c>; rel=c"], at: nil).links
        #expect(summary(links) == ["http://h/b b"])
    }

    @Test("from a socket, the names that the service has for itself stay on it")
    func socket() throws {
        let links = try response(
            ["</a>; rel=a, <http://localhost/b>; rel=b, <http+unix://%2Frun%2Fb.sock/c>; rel=c"],
            at: "http+unix://%2Frun%2Fa.sock/v1"
        ).links
        #expect(summary(links) == ["http+unix://%2Frun%2Fa.sock/a a", "http+unix://%2Frun%2Fa.sock/b b"])
    }

    @Test("Bytes that are not UTF-8 are percent-encoded byte for byte")
    func bytes() throws {
        var section = ByteBuffer(string: "Link")
        section.writeBytes(Array("</".utf8) + [0xE4] + Array(">; rel=x; title=\"".utf8) + [0xE4] + Array("\"".utf8))
        let span = ReceivedFields.Span(
            nameStart: 0, nameEnd: 4, valueStart: 4, valueEnd: UInt32(section.readableBytes))
        let response = ServiceResponse(
            status: .ok, receivedFields: ReceivedFields(bytes: section, spans: [span]), body: ResponseBody(),
            facts: ResponseFacts(url: try ServiceURL(Self.base)))
        #expect(summary(response.links) == ["https://api.example/%E4 x"])
        #expect(response.links.first?.parameter("title") == "ä")
    }

    @Test("link(_:) finds the first link of a type in any case, and skips links about another resource")
    func byRelation() throws {
        let response = try response([
            "</a>; rel=next; anchor=\"/other\", </b>; rel=\"prev Next\"; title=\"B\", </c>; rel=next"
        ])
        #expect(response.link("NEXT")?.target.path == "/b")
        #expect(response.link("next")?.parameter("Title") == "B")
        #expect(response.link("next")?.parameter("type") == nil)
        #expect(response.link("last") == nil)
        #expect(response.links.first?.anchor == "/other")
    }

    @Test("A link's description has no query and no parameter")
    func description() throws {
        let link = try #require(try response(["</a?token=canary>; rel=next; title=canary"]).links.first)
        var dumped = ""
        dump(link, to: &dumped)
        for text in ["\(link)", String(reflecting: link), dumped] { #expect(!text.contains("canary")) }
    }

    @Test("Hostile fields cost bounded work: at most 256 links are read, valid or not")
    func bounds() throws {
        let many = (0..<300).map { "</\($0)>; rel=x" }.joined(separator: ", ")
        #expect(try response([many]).links.count == 256)
        #expect(try response([many, many]).links.count == 256)
        #expect(try response(Array(repeating: "</a>", count: 256) + ["</b>; rel=x"]).links.isEmpty)
        let parameters = (0..<10_000).map { "; p\($0)=\"\($0)\"" }.joined()
        let link = try #require(try response(["</a>; rel=x" + parameters]).links.first)
        #expect(link.parameter("p30") == "30")
        #expect(link.parameter("p31") == nil)
        #expect(try response([String(repeating: "<", count: 1 << 20)]).links.isEmpty)
        #expect(try response(["</a>; rel=\"" + String(repeating: "\\", count: 1 << 20)]).links.count == 1)
    }

    @Test("Reading a field that is cut anywhere does not trap, and never yields more links")
    func cuts() throws {
        let value = #"</a,b>; title="x\", <y>"; rel="next last", <http://h/c>;rel=c;anchor="""#
        let bytes = Array(value.utf8)
        for end in 0...bytes.count {
            #expect(try response([String(decoding: bytes[..<end], as: UTF8.self)]).links.count <= 2)
        }
    }
}

@Suite("A URL as text")
struct AbsoluteStringTests {
    @Test(
        "The text of a URL parses to the same URL, and is a valid reference",
        arguments: [
            ("https://Api.example:443/v1/../a?b=c#d", "https://api.example/a?b=c"), ("http://h:81", "http://h:81/"),
            ("http://h/?", "http://h/?"), ("http://h//a//", "http://h//a//"),
            ("http://h/a%2fb%20c", "http://h/a%2fb%20c"),
            ("http://[FE80::1%25eth0]:81/x", "http://[fe80::1%25eth0]:81/x"), ("https://[::1]/", "https://[::1]/"),
            ("https://[fe80::1%25en0]/", "https://[fe80::1%25en0]/"),
            ("http+unix://%2frun%2fa%20b%3f.sock/v1?x", "http+unix://%2Frun%2Fa%20b%3F.sock/v1?x"),
            ("https+unix://%2Frun%2Fa.sock", "https+unix://%2Frun%2Fa.sock/"),
        ])
    func roundTrip(text: String, expected: String) throws {
        let url = try ServiceURL(text)
        #expect(url.absoluteString == expected)
        #expect(try ServiceURL(url.absoluteString) == url)
        #expect(try ServiceURL("http://other.example/base").appending(url.absoluteString) == url)
        #expect(try ServiceURL("http://other.example/base").resolving(url.absoluteString) == url)
    }

    @Test(
        "Appending is for the caller's own references, resolving is for references from a service",
        arguments: [
            (
                "/v1/orders?page=2", "https://api.example/v1/orders/v1/orders?page=2",
                "https://api.example/v1/orders?page=2"
            ),
            ("42", "https://api.example/v1/orders/42", "https://api.example/v1/42"),
            ("?page=2", "https://api.example/v1/orders?page=2", "https://api.example/v1/orders?page=2"),
            ("../users", "https://api.example/v1/orders/users", "https://api.example/users"),
            ("//other.example/x", "https://api.example/v1/orders//other.example/x", "https://other.example/x"),
            ("https://other.example/x", "https://other.example/x", "https://other.example/x"),
        ])
    func twoWays(reference: String, appended: String, resolved: String) throws {
        let base = try ServiceURL("https://api.example/v1/orders")
        #expect(try base.appending(reference).absoluteString == appended)
        #expect(try base.resolving(reference).absoluteString == resolved)
    }
}
