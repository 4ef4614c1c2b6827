import BowlineCore

/// One head being written: measured first, then checked, dropped and merged in the pass that writes.
struct HTTP1HeadWriting {
    /// The fields that are not simply written.
    private enum Special {
        case host, dropped, contentLength, transferEncoding, connection, upgrade, te, expect, cookie
    }

    private let head: HTTP1RequestHead
    private var host: String
    /// No field needs more than to be written; known once it is measured.
    private var isPlain = false
    private var hasCookie = false
    private var asksForTrailers = false
    private(set) var written = HTTP1WrittenHead()

    init(_ head: consuming HTTP1RequestHead) {
        host = head.host
        written.closesConnection = head.connectionClose
        written.expectsContinue = head.expectContinue
        switch head.method {
        case "HEAD": written.kind = .head
        case "CONNECT": written.kind = .connect
        default: break
        }
        self.head = head
    }

    /// Finds the host, and returns a length that the head does not exceed.
    mutating func measure() throws(HTTP1RequestError) -> Int {
        // What we write ourselves takes 59 bytes, with all that special fields and flags bring 170.
        isPlain = true
        var length = head.method.utf8.count + head.target.utf8.count + host.utf8.count
        for field in head.fields {
            length += HTTP1WireCursor.length(of: field)
            guard let special = Self.special(field) else { continue }
            isPlain = false
            if case .host = special {
                guard !written.hasHostField else { throw HTTP1RequestError(.repeatedHost) }
                written.hasHostField = true
                host = field.value
                length += host.utf8.count
            }
        }
        return length + (isPlain && !head.connectionClose && !head.expectContinue ? 80 : 256)
    }

    /// Writes the head that was measured.
    mutating func write(to cursor: inout HTTP1WireCursor) throws(HTTP1RequestError) {
        try writeRequestLine(to: &cursor)
        for field in head.fields { try write(field, to: &cursor) }
        writeFraming(to: &cursor)
        writeConnection(to: &cursor)
        if head.framing == .none || head.framing == .length(0) {
            // RFC 9110 §10.1.1: a request without content must not expect this.
            written.expectsContinue = false
        }
        if written.expectsContinue { cursor.write("Expect: 100-continue\r\n") }
        cursor.write("\r\n")
    }

    private func writeRequestLine(to cursor: inout HTTP1WireCursor) throws(HTTP1RequestError) {
        guard cursor.write(head.method, if: HTTP1WireCursor.isToken) else { throw HTTP1RequestError(.invalidMethod) }
        cursor.write(" ")
        guard cursor.write(head.target, if: Self.isTarget) else { throw HTTP1RequestError(.invalidTarget) }
        // RFC 9112 §3.2: exactly one Host, and first, so that nothing in front of it is acted upon.
        cursor.write(" HTTP/1.1\r\nHost: ")
        if written.hasHostField || !host.isEmpty {
            guard cursor.write(host, if: HTTP1Host.isValid) else { throw HTTP1RequestError(.invalidHost) }
        }
        cursor.write("\r\n")
    }

    private mutating func write(_ field: HTTPField, to cursor: inout HTTP1WireCursor) throws(HTTP1RequestError) {
        switch isPlain ? nil : Self.special(field) {
        case nil: try cursor.writeLine(field)
        case .host, .dropped: break
        case .contentLength: try checkContentLength(field.value)
        case .transferEncoding:
            guard head.framing == .chunked, field.value.lowercased() == "chunked" else {
                throw HTTP1RequestError(.invalidTransferEncoding)
            }
        case .connection: try noteConnection(field.value)
        case .upgrade:
            if written.kind == .other { written.kind = .upgrade }
            try cursor.writeLine(field)
        case .te:
            guard field.value.lowercased() == "trailers" else { throw HTTP1RequestError(.unsupportedTE) }
            asksForTrailers = true
            try cursor.writeLine(field)
        case .expect:
            guard field.value.lowercased() == "100-continue" else { throw HTTP1RequestError(.unsupportedExpectation) }
            written.expectsContinue = true
        case .cookie: try writeCookies(to: &cursor)
        }
    }

    /// Told apart by length and first letter: few others have both.
    private static func special(_ field: HTTPField) -> Special? {
        let name = field.name.canonicalName
        guard let (known, special) = candidate(count: name.utf8.count, first: name.utf8.first ?? 0) else { return nil }
        return name == known ? special : nil
    }

    private static func candidate(count: Int, first: UInt8) -> (name: String, special: Special)? {
        switch (count, first) {
        case (2, UInt8(ascii: "t")): ("te", .te)
        case (4, UInt8(ascii: "h")): ("host", .host)
        case (6, UInt8(ascii: "c")): ("cookie", .cookie)
        case (6, UInt8(ascii: "e")): ("expect", .expect)
        case (7, UInt8(ascii: "u")): ("upgrade", .upgrade)
        case (10, UInt8(ascii: "c")): ("connection", .connection)
        case (10, UInt8(ascii: "k")): ("keep-alive", .dropped)
        case (14, UInt8(ascii: "c")): ("content-length", .contentLength)
        case (16, UInt8(ascii: "p")): ("proxy-connection", .dropped)
        case (17, UInt8(ascii: "t")): ("transfer-encoding", .transferEncoding)
        default: nil
        }
    }

    private func checkContentLength(_ value: String) throws(HTTP1RequestError) {
        let isRight =
            switch head.framing {
            case .none: value == "0"
            case .length(let length): value == String(length)
            case .chunked: false
            }
        guard isRight else { throw HTTP1RequestError(.invalidContentLength) }
    }

    private mutating func noteConnection(_ value: String) throws(HTTP1RequestError) {
        for element in value.split(separator: ",") {
            var option = element.drop { $0 == " " || $0 == "\t" }
            while option.last == " " || option.last == "\t" { option.removeLast() }
            switch option.lowercased() {
            case "close": written.closesConnection = true
            case "keep-alive", "upgrade", "te", "": break
            default: throw HTTP1RequestError(.unsupportedConnectionOption)
            }
        }
    }

    private mutating func writeCookies(to cursor: inout HTTP1WireCursor) throws(HTTP1RequestError) {
        guard !hasCookie else { return }
        for field in head.fields where field.name == .cookie {
            if hasCookie {
                cursor.write("; ")
            } else {
                try cursor.writeName(of: field)
            }
            hasCookie = true
            try cursor.writeValue(of: field)
        }
        cursor.write("\r\n")
    }

    /// RFC 9110 §8.6: a method whose semantics anticipate content says that there is none; the others say nothing.
    private func writeFraming(to cursor: inout HTTP1WireCursor) {
        switch head.framing {
        case .none:
            guard head.method == "POST" || head.method == "PUT" || head.method == "PATCH" else { return }
            cursor.write("Content-Length: 0\r\n")
        case .length(let length):
            cursor.write("Content-Length: ")
            _ = cursor.write(String(length)) { _ in true }
            cursor.write("\r\n")
        case .chunked: cursor.write("Transfer-Encoding: chunked\r\n")
        }
    }

    private func writeConnection(to cursor: inout HTTP1WireCursor) {
        var separator: StaticString = "Connection: "
        func write(_ option: StaticString, if isSaid: Bool) {
            guard isSaid else { return }
            cursor.write(separator)
            cursor.write(option)
            separator = ", "
        }
        write("close", if: written.closesConnection)
        write("upgrade", if: written.kind == .upgrade)
        write("TE", if: asksForTrailers)
        if written.closesConnection || written.kind == .upgrade || asksForTrailers { cursor.write("\r\n") }
    }

    /// Visible ASCII and nothing else; whether it is a good target is the URL's business.
    private static func isTarget(_ bytes: UnsafeRawBufferPointer) -> Bool {
        !bytes.isEmpty && bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
}
