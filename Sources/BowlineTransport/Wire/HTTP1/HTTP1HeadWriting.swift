import BowlineCore
import HTTPTypes
import NIOCore

/// One head being written: validates, drops and merges in the pass that writes.
struct HTTP1HeadWriting {
    private let head: HTTP1RequestHead
    private var written = HTTP1WrittenHead()
    private var hasCookie = false
    private var asksForTrailers = false

    init(_ head: HTTP1RequestHead) {
        self.head = head
        written.closesConnection = head.connectionClose
        written.expectsContinue = head.expectContinue
        switch head.method {
        case "HEAD": written.kind = .head
        case "CONNECT": written.kind = .connect
        default: break
        }
    }

    mutating func write(into buffer: inout ByteBuffer) throws(HTTP1RequestError) -> HTTP1WrittenHead {
        try writeRequestLine(into: &buffer)
        for field in head.fields { try write(field, into: &buffer) }
        writeFraming(into: &buffer)
        writeConnection(into: &buffer)
        if written.expectsContinue {
            if head.framing == .none || head.framing == .length(0) {
                // RFC 9110 §10.1.1: a request without content must not expect this.
                written.expectsContinue = false
            } else {
                buffer.writeStaticString("Expect: 100-continue\r\n")
            }
        }
        buffer.writeStaticString("\r\n")
        return written
    }

    private func writeRequestLine(into buffer: inout ByteBuffer) throws(HTTP1RequestError) {
        guard HTTP1RequestWriter.writeText(head.method, into: &buffer, if: HTTP1RequestWriter.isToken) else {
            throw HTTP1RequestError(.invalidMethod)
        }
        buffer.writeStaticString(" ")
        guard HTTP1RequestWriter.writeText(head.target, into: &buffer, if: Self.isTarget) else {
            throw HTTP1RequestError(.invalidTarget)
        }
        buffer.writeStaticString(" HTTP/1.1\r\nHost: ")
        try writeHost(into: &buffer)
        buffer.writeStaticString("\r\n")
    }

    /// RFC 9112 §3.2: exactly one, and first, so that nothing in front of it is acted upon.
    private func writeHost(into buffer: inout ByteBuffer) throws(HTTP1RequestError) {
        var host = head.host
        var isGiven = false
        for field in head.fields where field.name.canonicalName == "host" {
            guard !isGiven else { throw HTTP1RequestError(.repeatedHost) }
            isGiven = true
            host = field.value
        }
        if !isGiven, host.isEmpty { return }
        guard HTTP1RequestWriter.writeText(host, into: &buffer, if: HTTP1Host.isValid) else {
            throw HTTP1RequestError(.invalidHost)
        }
    }

    private mutating func write(
        _ field: HTTPField, into buffer: inout ByteBuffer
    ) throws(HTTP1RequestError) {
        // The names that matter are told apart by length first: most fields are none of them.
        switch field.name.canonicalName.utf8.count {
        case 2, 4, 6, 7, 10, 14, 16, 17:
            if try isOurs(field, into: &buffer) { return }
        default: break
        }
        try HTTP1RequestWriter.writeLine(field, into: &buffer)
    }

    /// Takes the fields that are not simply written; returns whether this was one of them.
    private mutating func isOurs(
        _ field: HTTPField, into buffer: inout ByteBuffer
    ) throws(HTTP1RequestError) -> Bool {
        switch field.name.canonicalName {
        case "host", "keep-alive", "proxy-connection": return true
        case "content-length": try checkContentLength(field.value)
        case "transfer-encoding":
            guard head.framing == .chunked, field.value.lowercased() == "chunked" else {
                throw HTTP1RequestError(.invalidTransferEncoding)
            }
        case "connection": try noteConnection(field.value)
        case "upgrade":
            written.kind = written.kind == .other ? .upgrade : written.kind
            return false
        case "te":
            guard field.value.lowercased() == "trailers" else { throw HTTP1RequestError(.unsupportedTE) }
            asksForTrailers = true
            return false
        case "expect":
            guard field.value.lowercased() == "100-continue" else { throw HTTP1RequestError(.unsupportedExpectation) }
            written.expectsContinue = true
        case "cookie": try writeCookies(into: &buffer)
        default: return false
        }
        return true
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

    private mutating func writeCookies(into buffer: inout ByteBuffer) throws(HTTP1RequestError) {
        guard !hasCookie else { return }
        for field in head.fields where field.name == .cookie {
            if hasCookie {
                buffer.writeStaticString("; ")
            } else {
                try HTTP1RequestWriter.writeName(field.name, into: &buffer)
            }
            hasCookie = true
            try HTTP1RequestWriter.writeValue(of: field, into: &buffer)
        }
        buffer.writeStaticString("\r\n")
    }

    /// RFC 9110 §8.6: a method whose semantics anticipate content says that there is none; the others say nothing.
    private func writeFraming(into buffer: inout ByteBuffer) {
        switch head.framing {
        case .none:
            guard head.method == "POST" || head.method == "PUT" || head.method == "PATCH" else { return }
            buffer.writeStaticString("Content-Length: 0\r\n")
        case .length(let length):
            buffer.writeStaticString("Content-Length: ")
            buffer.writeString(String(length))
            buffer.writeStaticString("\r\n")
        case .chunked: buffer.writeStaticString("Transfer-Encoding: chunked\r\n")
        }
    }

    private func writeConnection(into buffer: inout ByteBuffer) {
        guard written.closesConnection || written.kind == .upgrade || asksForTrailers else { return }
        buffer.writeStaticString("Connection: ")
        var separator: StaticString = ""
        for (isSaid, option) in options where isSaid {
            buffer.writeStaticString(separator)
            buffer.writeStaticString(option)
            separator = ", "
        }
        buffer.writeStaticString("\r\n")
    }

    private var options: [(Bool, StaticString)] {
        [(written.closesConnection, "close"), (written.kind == .upgrade, "upgrade"), (asksForTrailers, "TE")]
    }

    /// Visible ASCII and nothing else; whether it is a good target is the URL's business.
    private static func isTarget(_ bytes: UnsafeRawBufferPointer) -> Bool {
        !bytes.isEmpty && bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
}
