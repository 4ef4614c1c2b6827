import BowlineCore
import BowlineTransport
import HTTPTypes
import NIOCore
import Testing

/// Fields that stay bytes until they are read.
@Suite struct ReceivedFieldsTests {
    private static let lines = [
        ("Content-Type", "text/plain"), ("set-cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Empty", ""),
        ("CONNECTION", "x, Keep-Alive"), ("Connection", " , close"),
    ]

    /// The same fields as received bytes and as made of a collection.
    private static let both: [ReceivedFields] = [received(lines), ReceivedFields(made(lines))]

    private static func received(_ lines: [(String, String)]) -> ReceivedFields {
        let text = lines.map { "\($0): \($1)¶" }.joined()
        return ResponseReader("HTTP/1.1 200 OK¶\(text)¶").head?.fields ?? ReceivedFields()
    }

    private static func made(_ lines: [(String, String)]) -> HTTPFields {
        var fields = HTTPFields()
        for (name, value) in lines {
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        return fields
    }

    @Test("Lookups disregard case and join lines as HTTPFields does", arguments: both)
    func lookups(fields: ReceivedFields) throws {
        let empty = try #require(HTTPField.Name("x-EMPTY"))
        #expect(fields[.contentType] == "text/plain")
        #expect(fields[.setCookie] == "a=1, b=2")
        #expect(fields.values(for: .setCookie) == ["a=1", "b=2"])
        #expect(fields[empty] == "")
        #expect(fields.contains(empty))
        #expect(fields.count == 6)
        #expect(!fields.isEmpty)
    }

    @Test("A name that was not received has no values", arguments: both)
    func unknownName(fields: ReceivedFields) throws {
        let unknown = try #require(HTTPField.Name("X-None"))
        #expect(fields[unknown] == nil)
        #expect(fields.values(for: unknown).isEmpty)
        #expect(!fields.contains(unknown))
    }

    @Test("The largest number of fields that a configuration allows becomes a collection")
    func mostFields() {
        var options = ConnectionOptions()
        options.maximumFields = 65_000
        #expect(options.problems(at: "connection").isEmpty)
        let span = ReceivedFields.Span(nameStart: 0, nameEnd: 1, valueStart: 1, valueEnd: 2)
        let fields = ReceivedFields(
            bytes: ByteBuffer(string: "ab"), spans: Array(repeating: span, count: options.maximumFields))
        #expect(fields.httpFields.count == options.maximumFields)
    }

    @Test("Lookups by names known in advance read the bytes", arguments: both)
    func staticLookups(fields: ReceivedFields) {
        #expect(fields.first("content-type") == "text/plain")
        #expect(fields.first("set-cookie") == "a=1")
        #expect(fields.first("x-none") == nil)
        #expect(fields.contains("x-empty"))
        #expect(fields.containsToken("close", in: "connection"))
        #expect(fields.containsToken("keep-alive", in: "connection"))
        #expect(!fields.containsToken("keep", in: "connection"))
        #expect(!fields.containsToken("close", in: "x-empty"))
        #expect(fields.withFirst("set-cookie") { $0.count } == 3)
    }

    @Test("Iteration keeps order and spelling", arguments: both)
    func iteration(fields: ReceivedFields) {
        #expect(
            fields.map(\.name) == ["Content-Type", "set-cookie", "Set-Cookie", "X-Empty", "CONNECTION", "Connection"])
        #expect(fields.map(\.value).first == "text/plain")
        #expect(fields.underestimatedCount == 6)
    }

    @Test("The collection made of received bytes is the one that was sent")
    func collection() {
        let lines = [("A", "1"), ("b", "2"), ("a", "3"), ("Cookie", "x=1"), ("cookie", "y=2")]
        let fields = Self.received(lines)
        #expect(fields.httpFields == Self.made(lines))
        #expect(fields.httpFields.map(\.name.rawName) == lines.map(\.0))
        #expect(fields[.cookie] == "x=1; y=2")
        #expect(fields[.cookie] == fields.httpFields[.cookie])
    }

    @Test("The collection is made once for all copies, whichever thread asks first")
    func collectionIsShared() async {
        let fields = Self.received(Self.lines)
        let counts = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<64 { group.addTask { fields.httpFields.count } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(counts == Array(repeating: 6, count: 64))
    }

    @Test("A value that is not UTF-8 is read as ISO-8859-1 and keeps its bytes in the collection")
    func encodings() throws {
        let name = try #require(HTTPField.Name("X"))
        var head = Array("HTTP/1.1 200 OK\r\nX: caf".utf8)
        head += [0xE9] + Array("\r\nY: caf\u{E9}\r\n\r\n".utf8)
        var reader = ResponseReader(to: .other)
        reader.receive(head)
        let fields = try #require(reader.head?.fields)
        #expect(fields[name] == "caf\u{E9}")
        #expect(fields.map(\.value) == ["caf\u{E9}", "caf\u{E9}"])
        let field = try #require(fields.httpFields[fields: name].first)
        #expect(field.withUnsafeBytesOfValue { Array($0) } == Array("caf".utf8) + [0xE9])
    }

    @Test("An empty section has no fields", arguments: [ReceivedFields(), ReceivedFields(HTTPFields())])
    func empty(fields: ReceivedFields) {
        #expect(fields.isEmpty)
        #expect(fields[.contentType] == nil)
        #expect(fields.first("content-type") == nil)
        #expect(fields.httpFields.isEmpty)
        #expect(Array(fields).isEmpty)
    }

    @Test("The description is bounded and has names but no values", arguments: both)
    func description(fields: ReceivedFields) {
        #expect(
            "\(fields)" == "6 fields [Content-Type, set-cookie, Set-Cookie, X-Empty, CONNECTION, Connection]")
        let many = Self.received((0..<200).map { ("N\($0)" + String(repeating: "n", count: 100), "s3cret") })
        #expect("\(many)".utf8.count < 1_000)
        #expect(!"\(many)".contains("s3cret"))
    }
}
