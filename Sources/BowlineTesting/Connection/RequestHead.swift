internal import BowlineCore
internal import NIOCore

/// A request's head, parsed strictly, because the clients under test are ours (RFC 9112 §3, §5, §6).
struct RequestHead: Sendable {
    let method: HTTPRequest.Method
    let target: String
    let fields: HTTPFields
    let text: String
    let framing: RecordedRequest.Framing

    init(
        method: HTTPRequest.Method, target: String, fields: HTTPFields, text: String,
        framing: RecordedRequest.Framing
    ) {
        self.method = method
        self.target = target
        self.fields = fields
        self.text = text
        self.framing = framing
    }

    /// - Parameter bytes: The head, from the method to the empty line, including both.
    init(_ bytes: ByteBuffer) throws {
        let lines = try Self.lines(of: bytes.readableBytesView)
        guard let first = lines.first else { throw MalformedRequest("the request line is missing") }
        let (method, target) = try Self.requestLine(first)
        let fields = try Self.fields(lines.dropFirst())
        self.init(
            method: method, target: target, fields: fields, text: String(buffer: bytes),
            framing: try Self.framing(fields))
    }

    /// Parses the lines of a header or trailer section into fields.
    static func fields(_ lines: some Sequence<ByteBufferView>) throws -> HTTPFields {
        var fields = HTTPFields()
        for line in lines {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
                throw MalformedRequest("a field line has no colon")
            }
            guard let name = HTTPField.Name(String(decoding: line[..<colon], as: UTF8.self)) else {
                throw MalformedRequest("a field's name is not a token")
            }
            let value = line[line.index(after: colon)...].trimmingBlanks
            guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
                throw MalformedRequest("the value of \(name) has a control character")
            }
            fields.append(HTTPField(name: name, value: String(decoding: value, as: UTF8.self)))
        }
        return fields
    }

    /// Splits a section into its lines, without their CRLFs and without the empty line at its end.
    static func lines(of section: ByteBufferView) throws -> [ByteBufferView] {
        var lines: [ByteBufferView] = []
        var rest = section
        while let end = rest.firstIndex(of: 0x0A) {
            let line = rest[..<end]
            guard line.last == 0x0D else { throw MalformedRequest("a line ends without CR") }
            let content = line.dropLast()
            guard !content.contains(0x0D), !content.contains(0) else {
                throw MalformedRequest("a line has a bare CR or a NUL")
            }
            if !content.isEmpty { lines.append(content) }
            rest = rest[rest.index(after: end)...]
        }
        return lines
    }

    private static func requestLine(_ line: ByteBufferView) throws -> (HTTPRequest.Method, String) {
        let parts = line.split(separator: 0x20, omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw MalformedRequest("the request line has not three parts") }
        guard let method = HTTPRequest.Method(String(decoding: parts[0], as: UTF8.self)) else {
            throw MalformedRequest("the method is not a token")
        }
        guard !parts[1].isEmpty, parts[1].allSatisfy({ (0x21..<0x7F).contains($0) }) else {
            throw MalformedRequest("the target is empty or has a character that is not allowed")
        }
        guard parts[2].elementsEqual("HTTP/1.1".utf8) || parts[2].elementsEqual("HTTP/1.0".utf8) else {
            throw MalformedRequest("the version is neither HTTP/1.1 nor HTTP/1.0")
        }
        return (method, String(decoding: parts[1], as: UTF8.self))
    }

    private static func framing(_ fields: HTTPFields) throws -> RecordedRequest.Framing {
        let codings = fields[values: .transferEncoding]
        let lengths = fields[values: .contentLength]
        guard codings.isEmpty || lengths.isEmpty else {
            throw MalformedRequest("both Transfer-Encoding and Content-Length are there")
        }
        if !codings.isEmpty {
            guard codings.count == 1, codings[0].lowercased() == "chunked" else {
                throw MalformedRequest("Transfer-Encoding is not chunked alone")
            }
            return .chunked
        }
        guard let text = lengths.first else { return .length(0) }
        guard lengths.count == 1, !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let length = Int(text)
        else {
            throw MalformedRequest("Content-Length is not one number")
        }
        return .length(length)
    }
}

/// The reason why a client's bytes are not a valid request.
struct MalformedRequest: Error, CustomStringConvertible {
    let reason: String

    init(_ reason: String) {
        self.reason = reason
    }

    var description: String { "malformed request: \(reason)" }
}

extension ByteBufferView {
    var trimmingBlanks: ByteBufferView {
        var view = self
        while let first = view.first, first == 0x20 || first == 0x09 { view = view.dropFirst() }
        while let last = view.last, last == 0x20 || last == 0x09 { view = view.dropLast() }
        return view
    }
}
