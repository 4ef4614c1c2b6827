import BowlineTransport
import CorpusSupport
import NIOCore
import Testing

/// How a body is delimited, and what the end of input means in each state.
@Suite struct ResponseFramingTests {
    struct Framed: Sendable {
        let head: String
        let kind: RequestKind
        let framing: HTTP1BodyFraming
        init(_ head: String, to kind: RequestKind = .other, _ framing: HTTP1BodyFraming) {
            (self.head, self.kind, self.framing) = (head, kind, framing)
        }
    }

    @Test(
        "RFC 9112 §6.3: the framing follows from request method, status and fields",
        arguments: [
            Framed("200 OK¶Content-Length: 5", .length(5)),
            Framed("200 OK¶content-LENGTH:\t0005 ", .length(5)),
            Framed("200 OK¶Content-Length: 5¶Content-Length: 5", .length(5)),
            Framed("200 OK¶Content-Length: 9223372036854775807", .length(.max)),
            Framed("200 OK¶Content-Length: 0", .length(0)),
            Framed("200 OK¶Transfer-Encoding: CHUNKED", .chunked),
            Framed("200", .untilClose),
            Framed("205 Reset Content¶Content-Length: 0", .length(0)),
            Framed("204 No Content", .none),
            Framed("204 No Content¶Content-Length: 5", .none),
            Framed("304 Not Modified¶Transfer-Encoding: chunked", .none),
            Framed("200 OK¶Content-Length: 5", to: .head, .none),
            Framed("200 OK¶Transfer-Encoding: chunked", to: .head, .none),
            Framed("200 OK", to: .connect, .none),
            Framed("204 OK¶Content-Length: x¶Transfer-Encoding: y", to: .connect, .none),
            Framed("299 OK¶Content-Length: 4¶Transfer-Encoding: chunked", to: .connect, .none),
            Framed("407 No¶Content-Length: 5", to: .connect, .length(5)),
            Framed("101 Switching¶Upgrade: x¶Connection: upgrade¶Content-Length: 4", to: .upgrade, .none),
        ]
    )
    func framing(framed: Framed) {
        let reader = ResponseReader("HTTP/1.1 " + framed.head + "¶¶", to: framed.kind)
        #expect(reader.error == nil)
        #expect(reader.framing == framed.framing)
    }

    @Test(
        "RFC 9110 §8.6: a Content-Length that is not digits alone is refused as the first and only one", .tags(.I6),
        arguments: [
            "+5", "-5", "+", "5+", "0x5", "5.0", "5e0", "5 5", "5;", "5,", ",5", "5, 5", "\"5\"", "٥", "",
            "9223372036854775808",
        ])
    func lenientContentLength(value: String) {
        for byteByByte in [false, true] {
            let reader = ResponseReader("HTTP/1.1 200 OK¶Content-Length: \(value)¶¶hello", byteByByte: byteByByte)
            #expect(reader.error?.reason == .invalidContentLength)
            #expect(reader.head == nil)
        }
    }

    @Test(
        "RFC 9112 §6.1: a Transfer-Encoding other than chunked is refused as the first and only one", .tags(.I6),
        arguments: [
            "", "chunked,", ",chunked", "chunked, chunked", "chunked;q=1", "chunked x", "xchunked", "chunke",
            "\"chunked\"",
            "identity", "gzip, chunked", "chunked, gzip",
        ])
    func lenientTransferEncoding(value: String) {
        for byteByByte in [false, true] {
            let reader = ResponseReader(
                "HTTP/1.1 200 OK¶Transfer-Encoding: \(value)¶¶5¶hello¶0¶¶", byteByByte: byteByByte)
            #expect(reader.error?.reason == .unsupportedTransferEncoding)
            #expect(reader.head == nil)
        }
    }

    @Test(
        "A Keep-Alive whose seconds are not only digits is ignored", .tags(.KA19),
        arguments: [
            "timeout=+5", "timeout=-5", "timeout=5s", "timeout=5.0", "timeout=", "timeout", "timeout=\"5\"", "5",
            "xtimeout=5",
            "max=5", "timeout=1234567890",
        ])
    func lenientKeepAlive(value: String) {
        let reader = ResponseReader("HTTP/1.1 200 OK¶Keep-Alive: \(value)¶Content-Length: 0¶¶")
        #expect(reader.observation.outcome == .delivered)
        #expect(reader.head?.persistence.keepAliveTimeout == nil)
    }

    @Test("The shortest of several Keep-Alive timeouts counts, in any order", .tags(.KA19))
    func severalKeepAlives() {
        for fields in [
            "timeout=5¶Keep-Alive: timeout=9", "timeout=9¶Keep-Alive: timeout=5", "max=1, timeout=9, timeout=5",
        ] {
            let reader = ResponseReader("HTTP/1.1 200 OK¶Keep-Alive: \(fields)¶Content-Length: 0¶¶")
            #expect(reader.head?.persistence.keepAliveTimeout == 5)
        }
    }

    @Test("An unsolicited 101 is an error, with or without bytes after it", .tags(.H1b))
    func unsolicitedUpgrade() {
        let upgrade = "HTTP/1.1 101 Switching Protocols¶Upgrade: x¶¶"
        #expect(ResponseReader(upgrade).error?.reason == .unsolicitedUpgrade)
        #expect(ResponseReader(upgrade, to: .head).error?.reason == .unsolicitedUpgrade)
    }

    @Test(
        "an upgrade and a 2xx to CONNECT end without a body, not reusable, and bytes after them are an error",
        .tags(.KA15))
    func upgrades() {
        for (head, kind) in [("101 Go", RequestKind.upgrade), ("200 OK", .connect)] {
            var reader = ResponseReader("HTTP/1.1 \(head)¶¶", to: kind)
            #expect(reader.observation.outcome == .delivered)
            #expect(!reader.observation.isReusable)
            reader.receive([0x16])
            #expect(reader.error?.reason == .bytesAfterUpgrade)
            #expect(ResponseReader("HTTP/1.1 \(head)¶¶x", to: kind).error?.reason == .bytesAfterUpgrade)
        }
    }

    @Test("a 1xx does not use up the marker of HEAD or CONNECT", .tags(.H1b, .I8))
    func informationalKeepsKind() {
        for kind in [RequestKind.head, .connect] {
            let reader = ResponseReader("HTTP/1.1 103 Hints¶¶HTTP/1.1 200 OK¶Content-Length: 5¶¶", to: kind)
            #expect(reader.observation.outcome == .delivered)
            #expect(reader.observation.informational.map(\.status) == [103])
        }
    }

    @Test("A Content-Length on a 1xx has no meaning and is not read")
    func informationalFraming() {
        let reader = ResponseReader("HTTP/1.1 100 Go¶Content-Length: 5¶¶HTTP/1.1 200 OK¶Content-Length: 0¶¶")
        #expect(reader.observation.outcome == .delivered)
    }

    @Test(
        "The end of input is an error, except after a response and in a body that it delimits",
        arguments: [
            ("", HTTP1ParseError.Reason.closedBeforeResponse), ("H", .truncatedHead),
            ("HTTP/1.1 200 OK", .truncatedHead), ("HTTP/1.1 200 OK¶X: y", .truncatedHead),
            ("HTTP/1.1 200 OK¶X: y¶\r", .truncatedHead),
            ("HTTP/1.1 100 Continue¶¶", .truncatedHead), ("HTTP/1.1 100 Continue¶¶H", .truncatedHead),
            ("HTTP/1.1 200 OK¶Content-Length: 1¶¶", .truncatedBody),
            ("HTTP/1.1 200 OK¶Content-Length: 2¶¶x", .truncatedBody),
            ("HTTP/1.1 200 OK¶Transfer-Encoding: chunked¶¶", .truncatedBody),
            ("HTTP/1.1 200 OK¶Transfer-Encoding: chunked¶¶5", .truncatedBody),
            ("HTTP/1.1 200 OK¶Transfer-Encoding: chunked¶¶5;a", .truncatedBody),
            ("HTTP/1.1 200 OK¶Transfer-Encoding: chunked¶¶5¶hel", .truncatedBody),
            ("HTTP/1.1 200 OK¶Transfer-Encoding: chunked¶¶5¶hello", .truncatedBody),
            ("HTTP/1.1 200 OK¶Transfer-Encoding: chunked¶¶5¶hello¶0¶", .truncatedBody),
            ("HTTP/1.1 200 OK¶Transfer-Encoding: chunked¶¶5¶hello¶0¶T: x¶", .truncatedBody),
        ]
    )
    func endOfInput(bytes: String, reason: HTTP1ParseError.Reason) {
        var reader = ResponseReader(bytes)
        #expect(reader.error == nil)
        reader.receiveEOF()
        #expect(reader.error?.reason == reason)
        #expect(reader.error?.isTruncation == true)
        #expect(reader.parser.hasReceivedAnyByte == !bytes.isEmpty)
    }

    @Test("The end of input ends a body that it delimits, and says nothing after a complete response")
    func endOfInputThatIsRight() throws {
        var reader = ResponseReader("HTTP/1.1 200 OK¶¶hello")
        #expect(reader.observation.outcome == .undecided)
        reader.receiveEOF()
        #expect(reader.observation.outcome == .delivered)
        #expect(!reader.observation.isReusable)

        var parser = ResponseReader("HTTP/1.1 204 No Content¶¶").parser
        #expect(try parser.receivedEOF() == nil)
        var idle = HTTP1ResponseParser()
        #expect(try idle.receivedEOF() == nil)
    }

    @Test("The end of input does not overtake bytes that are still to be parsed")
    func endOfInputBeforeParsing() throws {
        var parser = HTTP1ResponseParser()
        parser.beginResponse(to: .other)
        parser.append(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\nhello"))
        guard case .head = try parser.receivedEOF() else {
            Issue.record("no head")
            return
        }
        guard case .body(let bytes) = try parser.next(), case .end(trailers: nil) = try parser.next() else {
            Issue.record("no body, or no end")
            return
        }
        #expect(String(buffer: bytes) == "hello")
    }

    @Test("bytes after a response are counted, not kept, and the next response cannot begin", .tags(.KA11, .I8))
    func leftoverBytes() throws {
        var reader = ResponseReader("HTTP/1.1 200 OK¶Content-Length: 2¶¶okHTTP/1.1 200 OK¶¶")
        #expect(reader.parser.leftoverByteCount == 19)
        reader.receive(Array(repeating: 0, count: 1_000))
        #expect(reader.parser.leftoverByteCount == 1_019)
        #expect(reader.observation.body == Array("ok".utf8))

        var parser = reader.parser
        parser.beginResponse(to: .other)
        for _ in 0..<2 {
            let error = #expect(throws: HTTP1ParseError.self) { _ = try parser.next() }
            #expect(error?.reason == .unsolicitedBytes)
        }
    }

    @Test(
        "bytes that arrive before any request was written fail the response that they would answer", .tags(.KA13, .I8))
    func bytesWhileIdle() {
        var parser = HTTP1ResponseParser()
        parser.append(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n"))
        #expect(parser.leftoverByteCount == 19)
        parser.beginResponse(to: .other)
        let error = #expect(throws: HTTP1ParseError.self) { _ = try parser.next() }
        #expect(error?.reason == .unsolicitedBytes)
    }

    @Test("responses follow one another on a connection, each parsed afresh", .tags(.KA1))
    func sequence() {
        var reader = ResponseReader("HTTP/1.1 200 OK¶Connection: close¶Content-Length: 2¶¶ok")
        var parser = reader.parser
        for (status, body) in [(200, "a"), (404, "bc")] {
            parser.beginResponse(to: .other)
            #expect(!parser.hasReceivedAnyByte)
            reader = ResponseReader(
                continuing: parser, "HTTP/1.1 \(status) X¶Transfer-Encoding: chunked¶¶\(body.count)¶\(body)¶0¶T: x¶¶")
            #expect(reader.observation.status == status)
            #expect(reader.observation.body == Array(body.utf8))
            #expect(reader.observation.isReusable)
            parser = reader.parser
        }
    }

    @Test("A response that arrives whole is delivered as slices of the bytes that arrived")
    func sharesStorage() throws {
        var received = ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        received.reserveCapacity(512)
        let start = received.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        var reader = ResponseReader(to: .other)
        reader.receive(received)
        let body = try #require(reader.bodyEvents.first)
        #expect(reader.bodyEvents.count == 1)
        #expect(body.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) } == start + 38)
        let reason = try #require(reader.head?.reasonBytes)
        #expect(reason.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) } == start + 13)
    }

    @Test("The fields do not keep a large read buffer alive")
    func fieldsAreCopiedOutOfLargeBuffers() throws {
        var received = ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        received.reserveCapacity(1 << 20)
        var reader = ResponseReader(to: .other)
        reader.receive(received)
        #expect(try #require(reader.head?.reasonBytes).storageCapacity < 1_024)
        #expect(reader.head?.reason == "OK")
        #expect(reader.observation.headers.map(\.value) == ["5"])
    }
}
