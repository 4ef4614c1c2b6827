import Testing

@testable import FuzzTargets

/// The models that the targets compare the code with, and how they read an input.
@Suite struct FuzzModelTests {
    struct Chunked: Sendable, CustomTestStringConvertible {
        let bytes: String
        let body: String
        let ending: ChunkedModel.Ending
        var testDescription: String { bytes.debugDescription }

        /// Of the bytes, `¶` is CRLF.
        init(_ bytes: String, _ body: String, _ ending: ChunkedModel.Ending) {
            self.bytes = bytes.replacing("¶", with: "\r\n")
            self.body = body
            self.ending = ending
        }
    }

    @Test(
        "The model of chunked bodies follows RFC 9112 §7.1",
        arguments: [
            Chunked("0¶¶", "", .complete(leftover: 0)), Chunked("5¶hello¶0¶¶", "hello", .complete(leftover: 0)),
            Chunked("A;a=\"b;\\\"\" ; c = d¶0123456789¶00;x¶¶x", "0123456789", .complete(leftover: 1)),
            Chunked("5¶hello¶0¶X: y¶¶", "hello", .trailers), Chunked("0¶", "", .trailers),
            Chunked("", "", .incomplete), Chunked("5", "", .incomplete), Chunked("5¶hel", "hel", .incomplete),
            Chunked("5¶hello", "hello", .incomplete), Chunked("5¶hello\r", "hello", .incomplete),
            Chunked("7FFFFFFFFFFFFFFF¶hel", "hel", .incomplete), Chunked("8000000000000000¶hel", "", .invalid),
            Chunked("5 ¶hello", "", .invalid), Chunked("5;¶hello", "", .invalid), Chunked("5;a=¶hello", "", .invalid),
            Chunked("5;a=\"b¶hello", "", .invalid), Chunked("¶hello", "", .invalid), Chunked("5\nhello", "", .invalid),
            Chunked("5¶hellox", "hello", .invalid), Chunked("5\rx", "", .invalid),
        ])
    func chunkedModel(chunked: Chunked) {
        let model = ChunkedModel(Array(chunked.bytes.utf8))
        #expect(model.ending == chunked.ending)
        #expect(model.body == Array(chunked.body.utf8))
    }

    @Test(
        "The model of the calendar writes dates as RFC 9110 §5.6.7 has them",
        arguments: [
            (0, "Sun, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (3_981_312_000, "Sun, 29 Feb 2096 00:00:00 GMT"), (253_402_300_799, "Sun, 31 Dec 9999 23:59:59 GMT"),
        ] as [(Int64, String)])
    func calendarModel(seconds: Int64, text: String) {
        #expect(CalendarModel.text(seconds) == text)
    }

    @Test("Numbers are taken from the end of an input; an empty input yields the lowest of the range")
    func numbers() {
        var input = (Array("abc".utf8) + [2, 1, 7]).withUnsafeBytes { FuzzInput($0) }
        let (low, high) = (input.takeNumber(in: 1...6), input.takeNumber(in: 0...65_535))
        #expect(low == 2)
        #expect(high == 258)
        #expect(input.content == Array("abc".utf8))
        var empty = FuzzInput(UnsafeRawBufferPointer(start: nil, count: 0))
        let (number, flag) = (empty.takeNumber(in: 3...9), empty.takeFlag())
        #expect(number == 3)
        #expect(!flag)
    }

    @Test("Pieces join to the whole in order, and none is empty")
    func pieces() {
        let bytes = Array("abcdef".utf8)
        let ways: [Cuts] = [.at([]), .at([0, 2, 2, 6]), .at([1, 5]), .everyByte]
        #expect(ways.map { $0.pieces(of: bytes).map(\.count) } == [[6], [2, 4], [1, 4, 1], [1, 1, 1, 1, 1, 1]])
        for way in ways {
            #expect(way.pieces(of: bytes).flatMap { Array($0) } == bytes)
            #expect(way.pieces(of: []).isEmpty)
        }
    }

    @Test("The second reading of frames finds the whole frames and the remaining bytes")
    func frames() {
        let bytes: [UInt8] = FuzzFrame.settings + [0, 0, 2, 0, 1, 0x80, 0, 0, 3, 7, 8] + [0, 0, 1, 8]
        let (frames, unfinished) = FuzzFrame.read(bytes)
        #expect(
            frames == [
                FuzzFrame(type: 4, flags: 0, stream: 0, payload: []),
                FuzzFrame(type: 0, flags: 1, stream: 3, payload: [7, 8]),
            ])
        #expect(unfinished == [0, 0, 1, 8])
    }

    @Test("A broken promise is reported, a kept promise is not")
    func promises() throws {
        try promise(true, "kept")
        let violation = #expect(throws: FuzzViolation.self) { try promise(false, "broken") }
        #expect(violation?.description == "broken")
        #expect(throws: FuzzViolation.self) { try FuzzGrammar.checkField(name: "x", value: "a\rb") }
        #expect(throws: FuzzViolation.self) { try FuzzGrammar.checkField(name: "x y", value: "a") }
    }
}
