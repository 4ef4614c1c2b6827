import HTTPTypes
import Testing

@testable import BowlineTransport

/// Requests that are refused before encoding, and the properties of a checked request.
@Suite struct CheckedRequestTests {
    struct Refused: Sendable {
        let head: RequestDraft
        let reason: RequestCheckError.Reason
        init(_ head: RequestDraft, _ reason: RequestCheckError.Reason) { (self.head, self.reason) = (head, reason) }
    }

    static let refusedMethods = ["", "G T", "GET ", "G\r\nX: y", "GÉT", "GET\u{0}", "G:T"].map {
        Refused(RequestDraft($0), .invalidMethod)
    }

    static let refusedTargets = ["", "/ ", "/a b", "/\r\nX: y", "/\u{0}", "/\u{7F}", "/é", "/\t"].map {
        Refused(RequestDraft(target: $0), .invalidTarget)
    }

    static let refusedHosts: [Refused] = [
        "h\r\nX: y", "h y", "u@h", "h/x", "h?x", "h#x", "h\\x", "h\u{0}", "hé", "h:", "h:x", "h:123456", "h:1:2", "::1",
        "[::1", "[]", "[::1]x", "[::1]:", "[:/:1]", ":80", "[h]", "[1::2]:80:90",
    ].flatMap { host -> [Refused] in
        [
            Refused(RequestDraft(host: host), .invalidHost),
            Refused(RequestDraft(fields: [("Host", host)]), .invalidHost),
        ]
    }

    static let refusedFields: [Refused] = [
        Refused(RequestDraft(fields: [("Host", "")]), .invalidHost),
        Refused(RequestDraft(fields: [("Host", "a"), ("host", "a")]), .repeatedHost),
        Refused(RequestDraft(fields: [("X", "a\u{1}b")]), .invalidFieldValue),
        Refused(RequestDraft(fields: [("X", "\u{7F}")]), .invalidFieldValue),
        Refused(RequestDraft(fields: [("Cookie", "a"), ("Cookie", "\u{B}")]), .invalidFieldValue),
        Refused(RequestDraft(fields: [("Authorization", "Basic a\u{1}X: y")]), .invalidFieldValue),
        Refused(RequestDraft(fields: [("proxy-authorization", "\u{7F}")]), .invalidFieldValue),
        Refused(RequestDraft(fields: [("Upgrade", "a\u{B}b")]), .invalidFieldValue),
        Refused(RequestDraft("POST", fields: [("Content-Length", "6")], framing: .length(7)), .invalidContentLength),
        Refused(RequestDraft("POST", fields: [("Content-Length", "07")], framing: .length(7)), .invalidContentLength),
        Refused(RequestDraft("POST", fields: [("Content-Length", "+7")], framing: .length(7)), .invalidContentLength),
        Refused(
            RequestDraft("POST", fields: [("Content-Length", "7"), ("content-length", "8")], framing: .length(7)),
            .invalidContentLength),
        Refused(RequestDraft("POST", fields: [("Content-Length", "7")], framing: .chunked), .invalidContentLength),
        Refused(RequestDraft("POST", fields: [("Content-Length", "7")]), .invalidContentLength),
        Refused(
            RequestDraft("POST", fields: [("Transfer-Encoding", "chunked")], framing: .length(7)),
            .invalidTransferEncoding),
        Refused(RequestDraft("POST", fields: [("Transfer-Encoding", "chunked")]), .invalidTransferEncoding),
        Refused(
            RequestDraft("POST", fields: [("TRANSFER-encoding", "gzip, chunked")], framing: .chunked),
            .invalidTransferEncoding),
        Refused(RequestDraft("POST", fields: [("Transfer-Encoding", "")], framing: .chunked), .invalidTransferEncoding),
        Refused(RequestDraft(fields: [("Connection", "close, x-hop")]), .unsupportedConnectionOption),
        Refused(RequestDraft(fields: [("Connection", "close x")]), .unsupportedConnectionOption),
        Refused(RequestDraft(fields: [("Connection", "close,\u{301}, te")]), .unsupportedConnectionOption),
        Refused(RequestDraft(fields: [("Connection", "\u{212A}eep-alive")]), .unsupportedConnectionOption),
        Refused(RequestDraft(fields: [("Expect", "the unexpected")]), .unsupportedExpectation),
        Refused(RequestDraft(fields: [("TE", "gzip")]), .unsupportedTE),
    ]

    @Test(
        "Ambiguous requests are refused", .tags(.H1d),
        arguments: refusedMethods + refusedTargets + refusedHosts + refusedFields)
    func refuses(refused: Refused) {
        let error = #expect(throws: RequestCheckError.self) { try refused.head.checked() }
        #expect(error?.reason == refused.reason)
    }

    @Test(
        "A refusal says what is wrong in words",
        arguments: [
            (RequestDraft("G T"), "the method is not a token"),
            (
                RequestDraft(target: "/a b"),
                "the request target is empty or has a space, control or non-ASCII character"
            ),
            (RequestDraft(host: "h:x"), "the host is not valid"),
            (RequestDraft(fields: [("Host", "a"), ("Host", "a")]), "more than one Host field"),
            (RequestDraft(fields: [("X", "\u{1}")]), "the field value has a control character (field X)"),
            (
                RequestDraft("PUT", fields: [("Content-Length", "1")], framing: .length(2)),
                "Content-Length does not match the length of the body"
            ),
            (
                RequestDraft("PUT", fields: [("Transfer-Encoding", "gzip")], framing: .chunked),
                "Transfer-Encoding does not match the body, or is not 'chunked'"
            ),
            (
                RequestDraft(fields: [("Connection", "x")]),
                "Connection may only say 'close', 'keep-alive', 'upgrade' or 'te'"
            ),
            (RequestDraft(fields: [("Expect", "x")]), "Expect may only say '100-continue'"),
            (RequestDraft(fields: [("TE", "gzip")]), "TE may only say 'trailers'"),
        ])
    func messages(draft: RequestDraft, message: String) {
        let error = #expect(throws: RequestCheckError.self) { try draft.checked() }
        #expect(error?.description == message)
    }

    @Test("An error names the field, shortened, and never shows a value", .tags(.I15))
    func errorDescriptions() {
        let long = String(repeating: "n", count: 1_000)
        let error = #expect(throws: RequestCheckError.self) {
            try RequestDraft(fields: [(long, "s3cret\u{1}")]).checked()
        }
        #expect(
            error?.description
                == "the field value has a control character (field \(String(repeating: "n", count: 40))…)")
    }

    @Test("A field whose value is not sent is not refused for it")
    func droppedValues() throws {
        let request = try RequestDraft(fields: [("Keep-Alive", "\u{1}"), ("Proxy-Connection", "\u{1}")]).checked()
        #expect(!request.isPlain)
        #expect(!request.closesConnection)
    }

    @Test(
        "The kind follows from the method, or else from an Upgrade field",
        arguments: [
            ("GET", [], .other), ("HEAD", [], .head), ("head", [], .other), ("CONNECT", [], .connect),
            ("GET", [("Upgrade", "x")], .upgrade), ("HEAD", [("Upgrade", "x")], .head),
            ("CONNECT", [("Upgrade", "x")], .connect), ("HEAR", [], .other), ("CONNECTS", [], .other),
        ] as [(String, [(String, String)], RequestKind)])
    func kinds(method: String, fields: [(String, String)], kind: RequestKind) throws {
        #expect(try RequestDraft(method, fields: fields).checked().kind == kind)
    }

    @Test(
        "The stated length is the body's, or 0 for a method that anticipates content",
        arguments: [
            ("POST", .none, 0), ("PUT", .none, 0), ("PATCH", .none, 0), ("GET", .none, nil), ("DELETE", .none, nil),
            ("POSTS", .none, nil), ("PUP", .none, nil), ("post", .none, nil), ("GET", .length(5), 5),
            ("POST", .length(0), 0), ("POST", .chunked, nil),
        ] as [(String, RequestFraming, Int64?)])
    func contentLength(method: String, framing: RequestFraming, length: Int64?) throws {
        #expect(try RequestDraft(method, framing: framing).checked().contentLength == length)
    }

    @Test("The connection ends after the request if the pool or a Connection field says so")
    func closes() throws {
        #expect(try !RequestDraft().checked().closesConnection)
        #expect(try RequestDraft(close: true).checked().closesConnection)
        #expect(try RequestDraft(fields: [("Connection", "keep-alive,\tCLOSE ")]).checked().closesConnection)
        #expect(try !RequestDraft(fields: [("Connection", "keep-alive")]).checked().closesConnection)
    }

    @Test("RFC 9110 §10.1.1: a request without content sends no Expect, even if the caller or the options ask for it")
    func expects() throws {
        let asked = [("Expect", "100-Continue")]
        for (framing, hasContent, isKept) in [
            (RequestFraming.length(1), true, true), (.chunked, true, true), (.chunked, false, false),
            (.none, true, false), (.length(0), true, false),
        ] {
            let byField = RequestDraft("PUT", fields: asked, framing: framing, hasContent: hasContent)
            let byOption = RequestDraft("PUT", framing: framing, hasContent: hasContent, expect: true)
            #expect(try byField.checked().expectsContinue == isKept, "\(framing)")
            #expect(try byOption.checked().expectsContinue == isKept, "\(framing)")
            #expect(try !RequestDraft("PUT", framing: framing, hasContent: hasContent).checked().expectsContinue)
        }
    }

    @Test("The authority is the Host field's value, or else the URL's")
    func authority() throws {
        #expect(try RequestDraft(host: "a:1").checked().authority == "a:1")
        #expect(try RequestDraft(host: "a:1", fields: [("host", "b:2")]).checked().authority == "b:2")
        #expect(try RequestDraft(host: "", fields: [("host", "b")]).checked().authority == "b")
        #expect(try RequestDraft(host: "").checked().authority == "")
    }

    @Test("A request is plain if all its fields are sent unchanged; secret fields are noted")
    func plain() throws {
        for name in ["Accept", "te-x", "Hos", "Cooky", "Content-Type", "X-Request-Id", "Keep-Alivf", "Set-Cookie"] {
            let request = try RequestDraft(fields: [(name, "v")]).checked()
            #expect(request.isPlain, "\(name)")
            #expect(!request.hasSecrets, "\(name)")
        }
        for name in ["AUTHORIZATION", "Proxy-Authorization"] {
            let request = try RequestDraft(fields: [(name, "v")]).checked()
            #expect(request.isPlain, "\(name)")
            #expect(request.hasSecrets, "\(name)")
        }
        for (name, value) in [
            ("HOST", "a"), ("Cookie", "a"), ("te", "trailers"), ("EXPECT", "100-continue"), ("Upgrade", "a"),
            ("Connection", "close"), ("Keep-Alive", "a"), ("Content-Length", "0"), ("Proxy-Connection", "a"),
        ] {
            #expect(try !RequestDraft(fields: [(name, value), ("A", "b")]).checked().isPlain, "\(name)")
        }
    }
}
