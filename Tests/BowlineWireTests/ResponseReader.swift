import BowlineCore
import BowlineTransport
import CorpusSupport
import NIOCore

/// Drives a parser as a connection does, and writes down what comes out.
struct ResponseReader {
    private(set) var parser: HTTP1ResponseParser
    private(set) var observation = CorpusObservation()
    private(set) var error: HTTP1ParseError?
    private(set) var head: HTTP1ResponseHead?
    private(set) var framing: HTTP1BodyFraming?
    private(set) var bodyEvents: [ByteBuffer] = []

    init(to kind: RequestKind = .other, limits: HTTP1Limits = HTTP1Limits()) {
        parser = HTTP1ResponseParser(limits: limits)
        parser.beginResponse(to: kind)
    }

    /// Goes on with a parser that expects a response; of the text, `¶` is CRLF.
    init(continuing parser: HTTP1ResponseParser, _ text: String) {
        self.parser = parser
        receive(text.replacing("¶", with: "\r\n").utf8)
    }

    init(answering method: String) {
        switch method {
        case "HEAD": self.init(to: .head)
        case "CONNECT": self.init(to: .connect)
        default: self.init(to: .other)
        }
    }

    mutating func receive(_ bytes: some Collection<UInt8>) {
        receive(ByteBuffer(bytes: bytes))
    }

    mutating func receive(_ buffer: ByteBuffer) {
        parser.append(buffer)
        drain { (parser) throws(HTTP1ParseError) in try parser.next() }
    }

    mutating func receiveEOF() {
        drain { (parser) throws(HTTP1ParseError) in try parser.receivedEOF() ?? .needMoreBytes }
    }

    private mutating func drain(
        _ first: (inout HTTP1ResponseParser) throws(HTTP1ParseError) -> HTTP1ResponseEvent
    ) {
        do throws(HTTP1ParseError) {
            var event = try first(&parser)
            while note(event) { event = try parser.next() }
        } catch {
            self.error = error
            observation.outcome = .failed
        }
        observation.leftover = parser.leftoverByteCount
        observation.isReusable =
            observation.outcome == .delivered && head?.persistence.keepAlive == true && parser.leftoverByteCount == 0
    }

    /// Returns whether there may be more.
    private mutating func note(_ event: HTTP1ResponseEvent) -> Bool {
        switch event {
        case .needMoreBytes: return false
        case .informational(let head):
            observation.informational.append(
                CorpusInformational(status: head.statusCode, headers: Self.fields(head.fields))
            )
        case .head(let head, let framing):
            self.head = head
            self.framing = framing
            observation.status = head.statusCode
            observation.headers = Self.fields(head.fields)
        case .body(let bytes):
            bodyEvents.append(bytes)
            observation.body += bytes.readableBytesView
        case .end(let trailers):
            observation.outcome = .delivered
            observation.trailers = Self.fields(trailers ?? ReceivedFields())
        }
        return true
    }

    static func fields(_ fields: ReceivedFields) -> [CorpusField] {
        fields.map { CorpusField(name: $0.name, value: $0.value) }
    }
}

extension ResponseReader {
    /// Reads a whole case, cut at the given offsets.
    init(reading corpusCase: CorpusCase, cutAt offsets: some Sequence<Int> = []) {
        self.init(answering: corpusCase.method)
        var start = 0
        for offset in offsets {
            receive(corpusCase.bytes[start..<offset])
            start = offset
        }
        receive(corpusCase.bytes[start...])
        if corpusCase.end == .close { receiveEOF() }
    }

    /// Reads a text of which `¶` is CRLF.
    init(
        _ text: String, to kind: RequestKind = .other, limits: HTTP1Limits = HTTP1Limits(),
        byteByByte: Bool = false
    ) {
        self.init(to: kind, limits: limits)
        let bytes = Array(text.replacing("¶", with: "\r\n").utf8)
        if byteByByte {
            for byte in bytes { receive([byte]) }
        } else {
            receive(bytes)
        }
    }
}
