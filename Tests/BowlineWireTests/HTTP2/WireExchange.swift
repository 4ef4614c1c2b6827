import BowlineCore
import BowlineTransport
import Foundation
import NIOCore

/// A session and the h2 server behind a pipe: each side must have received what the other sent.
final class WireExchange {
    struct Difference: Error, CustomStringConvertible {
        let description: String
    }

    /// What one side sent or received on a stream.
    private struct Content {
        var sections: [[DrawnField]] = []
        var body: [UInt8] = []
        var hasEnded = false
        var isReset = false
    }

    /// The server's report at the end.
    private struct Told: Decodable {
        struct Side: Decodable {
            var sections: [[[Data]]]
            var body: Data
            var ended: Bool
            var reset: Bool
        }

        struct Stream: Decodable {
            var received: Side
            var sent: Side
        }

        var problem: String?
        var streams: [String: Stream]
    }

    private let pipe: WirePipe
    private var session: HTTP2ClientSession
    private var random: SeededRandom
    private var drawing = FieldDrawing(.bytes)
    private let now = MonotonicInstant(nanoseconds: 0)
    private var sent: [Int: Content] = [:]
    private var received: [Int: Content] = [:]
    private var unread: [Int: Int] = [:]
    private var violations: [HTTP2Violation] = []

    init(seed: UInt64, pipe: WirePipe) throws {
        self.pipe = pipe
        var random = SeededRandom(seed: seed)
        var options = HTTP2SessionOptions()
        options.streamWindow = [2_000, 65_535, 200_000].randomElement(using: &random) ?? 65_535
        options.connectionWindow = [65_535, 100_000, 1 << 24].randomElement(using: &random) ?? 65_535
        session = HTTP2ClientSession(options: options)
        self.random = random
        session.start()
        let number = (0..<8).map { UInt8(truncatingIfNeeded: seed >> (56 - 8 * $0)) }
        try receive(pipe.exchange("N", number))
        try exchange("B")
    }

    private func require(_ isRight: Bool, _ what: @autoclosure () -> String) throws {
        guard !isRight else { return }
        throw Difference(description: what())
    }

    private func drawSection() -> [DrawnField] {
        // h2 compares a content-length with the body, and knows the pseudo-fields.
        drawing.section(0...8, using: &random).filter { $0.name.first != 0x3A && $0.nameText != "content-length" }
    }

    // What the client does.

    func step() throws {
        for _ in 0..<Int.random(in: 1...3, using: &random) { try act() }
        try exchange("B")
    }

    private func act() throws {
        switch Int.random(in: 0..<8, using: &random) {
        case 0...2: try open()
        case 3, 4: send()
        case 5: consume()
        case 6: try sendTrailers()
        default: resetOne()
        }
    }

    private func open() throws {
        let hasRoom = session.hasRoom
        guard hasRoom else { return }
        let head = [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")]
        let section = DrawnSection(fields: head.map { DrawnField($0.0, $0.1) } + drawSection())
        let ends = Bool.random(using: &random)
        let id = try session.open(section, endsStream: ends)
        sent[id] = Content(sections: [section.fields], hasEnded: ends)
        received[id] = Content()
    }

    private func openRequest() -> Int? {
        sent.keys.filter { id in
            sent[id]?.hasEnded == false && sent[id]?.isReset == false && received[id]?.isReset == false
        }.sorted().randomElement(using: &random)
    }

    private func send() {
        guard let id = openRequest() else { return }
        let count = min(session.sendable(on: id), Int.random(in: 0...30_000, using: &random))
        let ends = Int.random(in: 0..<3, using: &random) == 0
        guard count > 0 || ends else { return }
        let first = UInt8.random(in: .min ... .max, using: &random)
        let bytes = (0..<count).map { first &+ UInt8(truncatingIfNeeded: $0) }
        session.send(ByteBuffer(bytes: bytes), endsStream: ends, on: id)
        sent[id]?.body += bytes
        sent[id]?.hasEnded = ends
    }

    private func sendTrailers() throws {
        guard let id = openRequest() else { return }
        let section = DrawnSection(fields: [DrawnField("x-sum", "1")] + drawSection())
        try session.sendTrailers(section, on: id)
        sent[id]?.sections.append(section.fields)
        sent[id]?.hasEnded = true
    }

    private func resetOne() {
        guard Int.random(in: 0..<3, using: &random) == 0 else { return }
        let open = sent.keys.filter { session.isOpen($0) }.sorted()
        guard let id = open.randomElement(using: &random) else { return }
        session.reset(id, code: .cancel)
        sent[id]?.isReset = true
    }

    private func consume() {
        guard let id = unread.keys.sorted().randomElement(using: &random), let count = unread.removeValue(forKey: id)
        else { return }
        session.consumed(count, on: id)
    }

    // The pipe.

    private func exchange(_ letter: Character) throws {
        let output = session.takeOutput().map { Array($0.readableBytesView) } ?? []
        try receive(pipe.exchange(letter, output))
        try require(violations.isEmpty, "the session refuses what h2 wrote: \(violations)")
    }

    private func receive(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Int.random(in: 1...rest.count, using: &random)
            session.receive(ByteBuffer(bytes: rest.prefix(count)))
            rest = rest.dropFirst(count)
            while let event = session.nextEvent(now: now) { note(event) }
        }
    }

    private func note(_ event: HTTP2ClientSession.Event) {
        switch event {
        case .headers(let stream, let fields, let ends):
            received[stream]?.sections.append(fields.drawn)
            if ends { received[stream]?.hasEnded = true }
        case .data(let stream, let bytes, let ends):
            received[stream]?.body += bytes.readableBytesView
            unread[stream, default: 0] += bytes.readableBytes
            if ends { received[stream]?.hasEnded = true }
        case .reset(let stream, _): received[stream]?.isReset = true
        case .streamFailed(_, let violation), .connectionFailed(let violation): violations.append(violation)
        case .settings, .settingsAcknowledged, .goAway, .pong, .ping, .windowOpened: break
        }
    }

    // The end.

    /// Ends every stream on both sides, and compares with what the server tells.
    func finish() throws {
        while let id = openRequest() {
            session.send(ByteBuffer(), endsStream: true, on: id)
            sent[id]?.hasEnded = true
        }
        for _ in 0..<1_000 {
            try exchange("F")
            while !unread.isEmpty { consume() }
            if session.openCount == 0 { break }
        }
        try exchange("F")
        let told = try JSONDecoder().decode(Told.self, from: Data(pipe.exchange("E", [])))
        try require(told.problem == nil, "h2 refuses what the session wrote: \(told.problem ?? "")")
        for id in sent.keys.sorted() {
            guard let stream = told.streams[String(id)] else {
                // The server takes note of a stream before it looks at a reset behind it.
                throw Difference(description: "the server has not seen stream \(id)")
            }
            let isReset = sent[id]?.isReset == true || stream.sent.reset
            try compare(stream.received, sent[id] ?? Content(), isReset: isReset, "request \(id)")
            try compare(received[id] ?? Content(), stream.sent, isReset: isReset, "response \(id)")
        }
    }

    private func compare(_ got: Told.Side, _ sent: Content, isReset: Bool, _ what: String) throws {
        let content = Content(
            sections: got.sections.map { $0.compactMap(DrawnField.init(told:)) }, body: Array(got.body),
            hasEnded: got.ended)
        try compare(content, sent, isReset: isReset, what)
    }

    private func compare(_ got: Content, _ sent: Told.Side, isReset: Bool, _ what: String) throws {
        let content = Content(
            sections: sent.sections.map { $0.compactMap(DrawnField.init(told:)) }, body: Array(sent.body),
            hasEnded: sent.ended)
        try compare(got, content, isReset: isReset, what)
    }

    private func compare(_ got: Content, _ sent: Content, isReset: Bool, _ what: String) throws {
        if isReset {
            try require(got.sections.count <= sent.sections.count, "\(what): more sections than were sent")
            try require(sent.body.starts(with: got.body), "\(what): another body")
        } else {
            try require(got.sections.count == sent.sections.count, "\(what): \(got.sections.count) sections")
            try require(got.body == sent.body, "\(what): \(got.body.count) bytes, sent were \(sent.body.count)")
            try require(got.hasEnded && sent.hasEnded, "\(what) has no end")
        }
        for (ours, theirs) in zip(got.sections, sent.sections) {
            let difference = differenceBetween(ours, theirs)
            try require(difference == nil, "\(what): \(difference ?? "")")
        }
    }
}
