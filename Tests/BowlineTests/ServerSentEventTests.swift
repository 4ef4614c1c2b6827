import Bowline
import BowlineTesting
import NIOCore
import Testing

@Suite("Events of a body (WHATWG HTML §9.2)", .timeLimit(.minutes(1)))
struct ServerSentEventTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let bytes: [UInt8]
        let events: [ServerSentEvent]
        var testDescription: String { String(decoding: bytes, as: UTF8.self).debugDescription }

        init(_ text: String, _ events: ServerSentEvent...) {
            bytes = Array(text.utf8)
            self.events = events
        }

        init(bytes: [UInt8], _ events: ServerSentEvent...) {
            self.bytes = bytes
            self.events = events
        }
    }

    static let cases: [Case] = [
        // The standard's examples.
        Case("data: YHOO\ndata: +2\ndata: 10\n\n", ServerSentEvent(data: "YHOO\n+2\n10")),
        Case(
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
            ServerSentEvent(data: "first event", id: "1"), ServerSentEvent(data: "second event")),
        Case("data\n\ndata\ndata\n\ndata:", ServerSentEvent(data: ""), ServerSentEvent(data: "\n")),
        Case("data:test\n\ndata: test\n\n", ServerSentEvent(data: "test"), ServerSentEvent(data: "test")),
        Case(
            "event: add\ndata: 1\n\nevent: remove\ndata: 2\n\n", ServerSentEvent(type: "add", data: "1"),
            ServerSentEvent(type: "remove", data: "2")),
        // Ends of lines, each kind alone and mixed.
        Case("data:a\rdata:b\r\rdata:c\r\r", ServerSentEvent(data: "a\nb"), ServerSentEvent(data: "c")),
        Case("data:a\r\ndata:b\r\n\r\n", ServerSentEvent(data: "a\nb")),
        Case(
            "data:a\r\n\rdata:b\n\r\ndata:c\r\n\n", ServerSentEvent(data: "a"), ServerSentEvent(data: "b"),
            ServerSentEvent(data: "c")),
        Case("data:a\r\n\n\r\r\n\n", ServerSentEvent(data: "a")),
        // The byte order mark, at the beginning and elsewhere.
        Case("\u{FEFF}data:a\n\n", ServerSentEvent(data: "a")),
        Case("\u{FEFF}\n\ndata:a\n\n", ServerSentEvent(data: "a")),
        Case("\n\u{FEFF}data:a\n\n"), Case("\u{FEFF}\u{FEFF}data:a\n\n"),
        // No event: cut off, without data, with unknown fields only.
        Case(""), Case("data:a"), Case("data:a\n"), Case("data:a\r\n"), Case("\n\n\n"), Case("event:x\n\n"),
        Case("event:x\n\ndata:a\n\n", ServerSentEvent(data: "a")),
        Case("DATA:a\n\n"), Case(" data:a\n\n"), Case("datas:a\n\n"), Case("dat:a\n\n"), Case(":data:a\n\n"),
        Case("data :a\n\n"),
        // Values.
        Case("data:\n\n", ServerSentEvent(data: "")), Case("data: \n\n", ServerSentEvent(data: "")),
        Case("data:  a: b \n\n", ServerSentEvent(data: " a: b ")), Case("data:\ta\n\n", ServerSentEvent(data: "\ta")),
        Case("data::\n\n", ServerSentEvent(data: ":")), Case("data:a\0b\n\n", ServerSentEvent(data: "a\0b")),
        Case("event:x\nevent:y\ndata:a\n\n", ServerSentEvent(type: "y", data: "a")),
        Case("event:x\nevent\ndata:a\n\n", ServerSentEvent(data: "a")),
        Case(bytes: Array("data:".utf8) + [0xFF, 0xC3, 0x0A, 0x0A], ServerSentEvent(data: "\u{FFFD}\u{FFFD}")),
        Case("data:ä\u{1F600}\n\n", ServerSentEvent(data: "ä\u{1F600}")),
        // The last event ID stays, may be cleared, is remembered without data, and never has a NUL.
        Case(
            "id:1\ndata:a\n\ndata:b\n\nid\ndata:c\n\n", ServerSentEvent(data: "a", id: "1"),
            ServerSentEvent(data: "b", id: "1"), ServerSentEvent(data: "c")),
        Case("id:7\n\ndata:a\n\n", ServerSentEvent(data: "a", id: "7")),
        Case("id:1\nid:2\0\ndata:a\n\n", ServerSentEvent(data: "a", id: "1")),
        Case("data:a\nid: 3 \n\n", ServerSentEvent(data: "a", id: "3 ")),
        // The time to wait: digits only.
        Case(
            "retry:1500\ndata:a\n\ndata:b\n\n", ServerSentEvent(data: "a", retry: .milliseconds(1500)),
            ServerSentEvent(data: "b", retry: .milliseconds(1500))),
        Case("retry: 0\n\ndata:a\n\n", ServerSentEvent(data: "a", retry: .zero)),
        Case(
            "retry:1\nretry:\nretry:-1\nretry:+1\nretry:1.5\nretry:1 \nretry:１\nretry:99999999999999999999\ndata:a\n\n",
            ServerSentEvent(data: "a", retry: .milliseconds(1))),
        Case("retry:9223372036854775807\ndata:a\n\n", ServerSentEvent(data: "a", retry: .milliseconds(Int64.max))),
    ]

    @Test("Events follow the standard's rules, wherever the chunks end", arguments: cases)
    func events(example: Case) async {
        for chunks in CutBody.everyCut(example.bytes) {
            let (events, error) = await ResponseBody(CutBody(chunks: chunks)).serverSentEvents().outcome()
            #expect(events == example.events, "\(chunks)")
            #expect(error == nil, "\(chunks)")
        }
    }

    @Test("An event whose lines end in CR is delivered at its last CR, though an LF may follow")
    func atOnce() async throws {
        let (source, feed) = AsyncStream.makeStream(of: ByteBuffer.self)
        var iterator = ResponseBody(source).serverSentEvents().makeAsyncIterator()
        feed.yield(ByteBuffer(string: "data:a\r\n\r"))
        #expect(try await iterator.next()?.data == "a")
        feed.yield(ByteBuffer(string: "\ndata:b\n\n"))
        #expect(try await iterator.next()?.data == "b")
        feed.finish()
        #expect(try await iterator.next() == nil)
    }

    @Test(
        "A line, or an event's data, longer than the maximum is bodyTooLarge, wherever the chunks end",
        arguments: [
            ("data:12345\n\n", 10, 1, ""), ("data:123456\n\n", 10, 0, "a line of the response body"),
            ("data:123456", 10, 0, "a line of the response body"),
            (":2345678901", 10, 0, "a line of the response body"),
            ("data:1234\r\ndata:56789\r\n\r\n", 10, 1, ""),
            ("data:12345\ndata:67890\n\n", 10, 0, "the data of an event"),
            ("data:1\n\n:23456789\n:23456789\ndata:2\n\n", 10, 2, ""),
            ("data\ndata\ndata\ndata\ndata\n\n", 4, 1, ""),
            ("data\ndata\ndata\ndata\ndata\ndata\n\n", 4, 0, "the data of an event"),
            ("\n\r\n", 0, 0, ""), ("a", -1, 0, "a line of the response body"), ("data:1\n\n", Int.max, 1, ""),
        ])
    func maximum(text: String, maximum: Int, count: Int, problem: String) async {
        for chunks in CutBody.everyCut(Array(text.utf8)) {
            let (events, error) = await ResponseBody(CutBody(chunks: chunks)).serverSentEvents(maximum: maximum)
                .outcome()
            #expect(events.count == count, "\(chunks)")
            let found = error as? ServiceError
            #expect((found == nil) == problem.isEmpty, "\(chunks)")
            guard !problem.isEmpty else { continue }
            #expect(found?.code == .bodyTooLarge)
            #expect(found?.message == "\(problem) is longer than \(max(maximum, 0)) bytes")
        }
    }

    @Test("An endless event is refused as soon as its data is too long")
    func endless() async {
        let source = CutBody(
            chunks: Array(repeating: Array("data:\(String(repeating: "x", count: 994))\n".utf8), count: 1000))
        let (events, error) = await ResponseBody(source).serverSentEvents(maximum: 4500).outcome()
        #expect(events.isEmpty)
        #expect((error as? ServiceError)?.code == .bodyTooLarge)
        #expect(source.asked.value == 5)
    }

    @Test("The sequence asks for a chunk only when an event needs it")
    func backPressure() async throws {
        let source = CutBody(chunks: [Array("data:a\n\ndata:b\n".utf8), Array("\n".utf8), Array("data:c\n\n".utf8)])
        var iterator = ResponseBody(source).serverSentEvents().makeAsyncIterator()
        for (data, asked) in [("a", 1), ("b", 2), ("c", 3)] {
            #expect(try await iterator.next()?.data == data)
            #expect(source.asked.value == asked)
        }
    }

    @Test("A description contains no text of the peer")
    func description() {
        let event = ServerSentEvent(type: "canary", data: "canary", id: "canary")
        var dumped = ""
        dump(event, to: &dumped)
        for text in ["\(event)", String(reflecting: event), dumped] { #expect(!text.contains("canary")) }
    }

    @Test("Over a socket an event arrives while the body goes on; leaving and discarding closes the connection")
    func discarded() async throws {
        try await withLoopbackServer { server in
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            let closed = server.answerUntilClosed(head + "9\r\ndata: 1\n\n\r\n")
            let client = try ServiceClient(baseURL: server.baseURL)
            let response = try await client.get("/")
            for try await event in response.body.serverSentEvents() {
                #expect(event == ServerSentEvent(data: "1"))
                break
            }
            response.body.discard()
            try await closed.wait()
            #expect(await client.shutdown(within: .seconds(5)).isClean)
        }
    }
}
