import BowlineCore
import NIOCore
import Testing

@Suite("multipart/form-data (RFC 7578)", .timeLimit(.minutes(1)))
struct MultipartFormTests {
    private static func text(of body: RequestBody) async throws -> String {
        var reader = try await body.makeReader(replayLimit: 65_536)
        var all = ByteBuffer()
        while var chunk = try await reader.next() { all.writeBuffer(&chunk) }
        return String(buffer: all)
    }

    private static func stream(_ texts: String...) -> AsyncStream<ByteBuffer> {
        AsyncStream { hand in
            for text in texts { hand.yield(ByteBuffer(string: text)) }
            hand.finish()
        }
    }

    @Test(
        "Parts are between boundaries, each with its disposition and type; the length is that of the bytes sent",
        .tags(.I1))
    func layout() async throws {
        var form = MultipartForm([], boundary: "B")
        form.append("title", "Hello")
        form.append("photo", file: .bytes([0x31, 0x32]), fileName: "a.jpg", contentType: "image/jpeg")
        form.append("raw", file: .none, fileName: "b")
        let body = try RequestBody.multipart(form)
        let text = try await Self.text(of: body)
        #expect(
            text == """
                --B\r\nContent-Disposition: form-data; name="title"\r\n\r\nHello\r\n\
                --B\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\
                Content-Type: image/jpeg\r\n\r\n12\r\n\
                --B\r\nContent-Disposition: form-data; name="raw"; filename="b"\r\n\
                Content-Type: application/octet-stream\r\n\r\n\r\n\
                --B--\r\n
                """)
        #expect(body.length == text.utf8.count)
        #expect(body.contentType == "multipart/form-data; boundary=B")
        #expect(body.isReplayable)
        #expect(try await Self.text(of: body) == text, "it is the same when it is sent again")
    }

    static let names: [(plain: String, escaped: String)] = [
        ("plain", "plain"), ("a\"b", "a%22b"), ("a\r\nb", "a%0D%0Ab"), ("a\nX-Injected: 1", "a%0AX-Injected: 1"),
        ("nul\0", "nul%00"), ("Grüße 🪢", "Grüße 🪢"), ("back\\slash", "back\\slash"), ("100%", "100%"), ("", ""),
        ("\u{7F}", "%7F"),
    ]

    @Test("names and file names are escaped as browsers do, and cannot end their line", .tags(.I1), arguments: names)
    func escaping(name: (plain: String, escaped: String)) async throws {
        var form = MultipartForm([], boundary: "B")
        form.append(name.plain, file: .text("x"), fileName: name.plain)
        let lines = try await Self.text(of: .multipart(form)).components(separatedByLineEnd: "\r\n")
        let expected = "Content-Disposition: form-data; name=\"\(name.escaped)\"; filename=\"\(name.escaped)\""
        #expect(lines == ["--B", expected, "Content-Type: application/octet-stream", "", "x", "--B--", ""])
    }

    @Test(
        "a part's content type that could begin a field is refused", .tags(.I1),
        arguments: ["a\r\nX: 1", "a\n", "a\0b", "\u{7F}"])
    func badContentType(type: String) throws {
        let form = MultipartForm([.init("file", body: .none, fileName: "f", contentType: type)])
        let error = #expect(throws: ServiceError.self) { try RequestBody.multipart(form) }
        #expect(error?.code == .invalidRequest)
    }

    @Test("A part with a negative length is refused before the form is sent")
    func negativeLength() throws {
        let form = MultipartForm([
            .init("a", body: .text("x")), .init("b", body: .stream(Self.stream("abc"), length: -1)),
        ])
        let error = #expect(throws: ServiceError.self) { try RequestBody.multipart(form) }
        #expect(error?.code == .invalidRequest)
        #expect(error?.message == "length of form part \"b\" must not be negative, is -1")
    }

    @Test("A boundary is random: no two forms have the same, and it is a token of at most 70 characters")
    func boundaries() {
        let boundaries = (0..<100).map { _ in MultipartForm().boundary }
        #expect(Set(boundaries).count == 100)
        for boundary in boundaries {
            #expect(boundary.utf8.count == 40)
            #expect(boundary.utf8.allSatisfy { PercentEncoding.segment(String(UnicodeScalar($0))).utf8.count == 1 })
        }
    }

    @Test("The form's length is known if every part's is, and the form is replayable if every part is")
    func lengthAndReplay() async throws {
        var form = MultipartForm([], boundary: "B")
        form.append("a", file: .replayable(length: 3) { Self.stream("x", "yz") }, fileName: "a")
        let replayable = try RequestBody.multipart(form)
        let first = try await Self.text(of: replayable)
        #expect(replayable.length == first.utf8.count)
        #expect(try await Self.text(of: replayable) == first)

        form.append("b", file: .stream(Self.stream("once"), length: 4), fileName: "b")
        let once = try RequestBody.multipart(form)
        let text = try await Self.text(of: once)
        #expect(once.length == text.utf8.count)
        #expect(text.contains("\r\n\r\nonce\r\n--B--"))
        once.commit()
        #expect(!once.isReplayable)

        form.append("c", file: .replayable { Self.stream("?") }, fileName: "c")
        #expect(try RequestBody.multipart(form).length == nil)
    }

    @Test("A part whose length is wrong fails, even if another part makes up for it", arguments: [1, 5])
    func wrongLength(declared: Int) async throws {
        let other = 6 - declared
        let form = MultipartForm([
            .init("a", body: .replayable(length: declared) { Self.stream("abc") }),
            .init("b", body: .replayable(length: other) { Self.stream("abc") }),
        ])
        let body = try RequestBody.multipart(form)
        let failure = await #expect(throws: RequestBodyFailure.self) { _ = try await Self.text(of: body) }
        #expect(failure?.error.code == .requestBodyLengthMismatch)
    }
}

extension String {
    /// The pieces between line ends. `split` would take `\r\n` for one character, and a lone `\n` for another.
    fileprivate func components(separatedByLineEnd end: String) -> [String] {
        var lines: [String] = [""]
        var scalars = unicodeScalars.makeIterator()
        var previous: Unicode.Scalar?
        while let scalar = scalars.next() {
            lines[lines.count - 1].unicodeScalars.append(scalar)
            if previous == "\r", scalar == "\n" {
                lines[lines.count - 1].unicodeScalars.removeLast(2)
                lines.append("")
            }
            previous = scalar
        }
        return lines
    }
}
