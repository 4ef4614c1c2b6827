import BowlineCore
import BowlineTransport
import NIOCore
import NIOHTTP2
import Testing

/// The session and a server of NIOHTTP2: every field and byte that one has sent is what the other has got.
@Suite struct NIOHTTP2DifferentialTests {
    @Test("Requests and responses arrive as they were sent, through windows, changes of settings, resets and GOAWAY")
    func exchanges() {
        let seed = UInt64.random(in: .min ... .max)
        print("NIOHTTP2DifferentialTests seed: \(seed)")
        var seeds = SeededRandom(seed: seed)
        for round in 0..<30 {
            // A failing run prints this one's seed.
            let own = seeds.next()
            do {
                let exchange = try NIOHTTP2Exchange(seed: own)
                defer { exchange.close() }
                for _ in 0..<150 { try exchange.step() }
                try exchange.finish()
                try exchange.checkPlaces()
                try exchange.goAway()
            } catch {
                Issue.record("seed \(seed), round \(round), seed of the exchange \(own): \(error)")
                return
            }
        }
    }

    @Test("200 KiB of fields arrive as they were sent, beside other requests", arguments: [16_384, 65_536])
    func largeSections(frameSize: Int) throws {
        let exchange = try NIOHTTP2Exchange(seed: 1, frameSize: frameSize)
        defer { exchange.close() }
        for round in 0..<10 {
            let large = (0..<200).map { DrawnField("x-\(round)-\($0)", String(repeating: "\($0 % 10)~", count: 512)) }
            try exchange.open(DrawnSection(fields: large), ends: true)
            try exchange.open(DrawnSection(fields: [DrawnField(":path", "/\(round)"), large[round]]), ends: true)
        }
        try exchange.finish()
    }
}

/// The two ends, what each has sent, and what the session was given.
final class NIOHTTP2Exchange {
    struct Difference: Error, CustomStringConvertible {
        let description: String
    }

    private struct Sent {
        var sections: [[DrawnField]] = []
        var body: [UInt8] = []
        var hasEnded = false
    }

    private var session: HTTP2ClientSession
    private let peer: NIOHTTP2Peer
    private var random: SeededRandom
    private var drawing = FieldDrawing(.text)
    private let now = MonotonicInstant(nanoseconds: 0)
    private var requests: [Int: Sent] = [:]
    private var responses: [Int: Sent] = [:]
    private var received: [Int: NIOHTTP2Peer.Received] = [:]
    private var unread: [Int: Int] = [:]
    /// Streams that one of both has reset.
    private var reset: Set<Int> = []
    private var connectionWindow = 65_535
    private var pongs: [UInt64] = []
    private var pings = 0
    private var goAways: [Int] = []
    private var failures: [HTTP2Violation] = []

    init(seed: UInt64, frameSize: Int = 16_384) throws {
        var random = SeededRandom(seed: seed)
        var options = HTTP2SessionOptions()
        options.streamWindow = [2_000, 65_535, 1_048_576].randomElement(using: &random) ?? 65_535
        options.connectionWindow = [65_535, 100_000, 16_777_216].randomElement(using: &random) ?? 65_535
        session = HTTP2ClientSession(options: options)
        peer = try NIOHTTP2Peer(settings: [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: 100),
            HTTP2Setting(parameter: .maxHeaderListSize, value: 1 << 20),
            HTTP2Setting(parameter: .headerTableSize, value: random.tableSize()),
            HTTP2Setting(parameter: .maxFrameSize, value: frameSize),
        ])
        self.random = random
        session.start()
        try pump()
        try require(peer.clientSettings[4] ?? 65_535 == options.streamWindow, "the window is \(peer.clientSettings)")
        try require(peer.clientSettings[2] == 0, "push is not off: \(peer.clientSettings)")
        try require(peer.settingsAcknowledgements == 1, "the peer's settings are not acknowledged")
    }

    func close() { peer.close() }

    private func require(_ isRight: Bool, _ what: @autoclosure () -> String) throws {
        guard !isRight else { return }
        throw Difference(description: what())
    }

    private func oneIn(_ count: Int) -> Bool { Int.random(in: 0..<count, using: &random) == 0 }

    private func drawBytes(_ count: Int) -> [UInt8] {
        let first = UInt8.random(in: .min ... .max, using: &random)
        return (0..<count).map { first &+ UInt8(truncatingIfNeeded: $0) }
    }

    /// NIOHTTP2 writes no section that is longer than a frame, and takes the first `:status` for the response's.
    private func drawShortSection() -> [DrawnField] {
        var size = 0
        let drawn = drawing.section(0...8, using: &random).filter { field in
            guard size + field.listSize < 3_000 else { return false }
            size += field.listSize
            return true
        }
        return [DrawnField(":status", "200")] + drawn
    }

    // What the two do.

    func step() throws {
        switch Int.random(in: 0..<16, using: &random) {
        case 0...2:
            try open(DrawnSection(fields: drawing.section(0...8, using: &random)), ends: Bool.random(using: &random))
        case 3...5: try send()
        case 6: try sendTrailers()
        case 7: try resetOne()
        case 8: consume()
        case 9, 10: try respond()
        case 11, 12: try respondWithData()
        case 13: try openWindows()
        case 14: try changeSettings()
        default: try pingFromEitherSide()
        }
        if oneIn(3) { try pump() }
    }

    func open(_ section: DrawnSection, ends: Bool) throws {
        let hasRoom = session.hasRoom
        guard hasRoom else { return }
        let id = try session.open(section, endsStream: ends)
        requests[id] = Sent(sections: [section.fields], hasEnded: ends)
        received[id] = NIOHTTP2Peer.Received()
    }

    private func openRequest() -> Int? {
        requests.keys.filter { requests[$0]?.hasEnded == false && !reset.contains($0) }.sorted()
            .randomElement(using: &random)
    }

    private func send() throws {
        guard let id = openRequest() else { return }
        let room = session.sendable(on: id)
        let count = min(room, Int.random(in: 0...20_000, using: &random))
        // NIOHTTP2 refuses an empty frame where the window is below 0 (RFC 9113 §6.9.1 allows it).
        let ends = oneIn(4) && room > 0
        guard count > 0 || ends else { return }
        let bytes = drawBytes(count)
        session.send(ByteBuffer(bytes: bytes), endsStream: ends, on: id)
        connectionWindow -= count
        requests[id]?.body += bytes
        requests[id]?.hasEnded = ends
    }

    private func sendTrailers() throws {
        guard let id = openRequest() else { return }
        let section = DrawnSection(fields: drawing.section(0...8, using: &random))
        try session.sendTrailers(section, on: id)
        requests[id]?.sections.append(section.fields)
        requests[id]?.hasEnded = true
    }

    private func consume() {
        guard let id = unread.keys.sorted().randomElement(using: &random), let count = unread.removeValue(forKey: id)
        else { return }
        session.consumed(count, on: id)
    }

    private func resetOne() throws {
        try pump()
        if let id = requests.keys.filter({ session.isOpen($0) }).sorted().randomElement(using: &random), oneIn(2) {
            session.reset(id, code: .cancel)
            reset.insert(id)
        } else if let id = openResponse() {
            peer.write(.rstStream(.cancel), on: id)
            reset.insert(id)
        }
        try pump()
    }

    /// A stream on which the peer may write: it has read all that the client wrote.
    private func openResponse() -> Int? {
        peer.received.keys.filter { id in
            peer.received[id]?.resetCode == nil && !reset.contains(id) && responses[id]?.hasEnded != true
        }.sorted().randomElement(using: &random)
    }

    private func respond() throws {
        try pump()
        guard let id = openResponse() else { return }
        let isTrailer = responses[id] != nil
        let ends = isTrailer || oneIn(4)
        guard !isTrailer || oneIn(3) else { return }
        let fields = drawShortSection()
        responses[id, default: Sent()].sections.append(fields)
        responses[id]?.hasEnded = ends
        peer.writeHeaders(fields, endsStream: ends, on: id)
    }

    private func respondWithData() throws {
        try pump()
        guard let id = openResponse(), responses[id] != nil else { return }
        let bytes = drawBytes(Int.random(in: 0...30_000, using: &random))
        let ends = oneIn(5)
        responses[id]?.body += bytes
        responses[id]?.hasEnded = ends
        peer.writeData(bytes, endsStream: ends, on: id)
    }

    private func openWindows() throws {
        try pump()
        let increment = Int.random(in: 1...60_000, using: &random)
        peer.write(.windowUpdate(windowSizeIncrement: increment), on: 0)
        connectionWindow += increment
        for id in peer.received.keys.sorted() where peer.received[id]?.hasEnded == false && oneIn(2) {
            guard peer.received[id]?.resetCode == nil, !reset.contains(id) else { continue }
            peer.write(.windowUpdate(windowSizeIncrement: increment), on: id)
        }
    }

    private func changeSettings() throws {
        try pump()
        var settings: [HTTP2Setting] = []
        if oneIn(2) { settings.append(HTTP2Setting(parameter: .headerTableSize, value: random.tableSize())) }
        if oneIn(2) {
            let window = Int.random(in: 0...100_000, using: &random)
            settings.append(HTTP2Setting(parameter: .initialWindowSize, value: window))
        }
        if oneIn(3) {
            let size = Int.random(in: 16_384...100_000, using: &random)
            settings.append(HTTP2Setting(parameter: .maxFrameSize, value: size))
        }
        if oneIn(3) {
            let most = Int.random(in: 0...100, using: &random)
            settings.append(HTTP2Setting(parameter: .maxConcurrentStreams, value: most))
        }
        peer.writeSettings(settings)
        try pump()
    }

    private func pingFromEitherSide() throws {
        let value = UInt64.random(in: .min ... .max, using: &random)
        let (before, seen) = (peer.pongs.count, pongs.count)
        if oneIn(2) {
            peer.writePing(value)
            try pump()
            try require(peer.pongs.count == before + 1 && peer.pongs.last == value, "the peer's PING is not answered")
        } else {
            session.ping(value)
            try pump()
            try require(pongs.count == seen + 1 && pongs.last == value, "the PING's answer is not seen")
            let awaited = session.awaitedResets
            let answered = session.pingAnswered()
            try require(answered == awaited, "\(answered) places are free, must be \(awaited)")
        }
    }

    // The bytes between them.

    private func pump() throws {
        while true {
            let output = session.takeOutput()
            if let output { try peer.receive(output) }
            let bytes = try peer.takeOutput()
            if output == nil && bytes.isEmpty { break }
            try receive(bytes)
        }
        try require(peer.errors.isEmpty, "NIOHTTP2 refuses what the session wrote: \(peer.errors)")
        try require(failures.isEmpty, "the session refuses what NIOHTTP2 wrote: \(failures)")
        let window = session.connectionSendWindow
        try require(window == connectionWindow, "the connection's window is \(window), must be \(connectionWindow)")
    }

    private func receive(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        let longest = oneIn(3) ? 50 : max(1, rest.count)
        while !rest.isEmpty {
            let count = Int.random(in: 1...min(longest, rest.count), using: &random)
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
        case .reset(let stream, let code): received[stream]?.resetCode = Int(code.rawValue)
        case .goAway(let last, _): goAways.append(last)
        case .pong(let value): pongs.append(value)
        case .ping: pings += 1
        case .streamFailed(_, let violation), .connectionFailed(let violation): failures.append(violation)
        case .settings, .settingsAcknowledged, .windowOpened: break
        }
    }

    // What must be at the end.

    /// Ends all streams, and compares both directions.
    func finish() throws {
        try pump()
        for id in requests.keys.sorted() where requests[id]?.hasEnded == false && !reset.contains(id) {
            if session.sendable(on: id) > 0 {
                session.send(ByteBuffer(), endsStream: true, on: id)
            } else {
                let trailers = DrawnSection(fields: [DrawnField("x-end", "1")])
                try session.sendTrailers(trailers, on: id)
                requests[id]?.sections.append(trailers.fields)
            }
            requests[id]?.hasEnded = true
        }
        try pump()
        while let id = openResponse() {
            if responses[id] == nil {
                let fields = drawShortSection()
                responses[id] = Sent(sections: [fields])
                peer.writeHeaders(fields, endsStream: false, on: id)
            }
            responses[id]?.hasEnded = true
            peer.writeData([], endsStream: true, on: id)
        }
        // Each turn gives back a part of a window at least.
        for _ in 0..<10_000 {
            try pump()
            if unread.isEmpty { break }
            while !unread.isEmpty { consume() }
        }
        for id in requests.keys.sorted() {
            try compare(peer.received[id], requests[id], on: id, "request")
            try compare(received[id], responses[id], on: id, "response")
        }
    }

    private func compare(_ got: NIOHTTP2Peer.Received?, _ sent: Sent?, on id: Int, _ what: String) throws {
        let (got, sent) = (got ?? NIOHTTP2Peer.Received(), sent ?? Sent())
        if reset.contains(id) {
            try require(got.sections.count <= sent.sections.count, "\(what) \(id): more sections than were sent")
            try require(sent.body.starts(with: got.body), "\(what) \(id): another body")
        } else {
            try require(got.sections.count == sent.sections.count, "\(what) \(id): \(got.sections.count) sections")
            try require(got.body == sent.body, "\(what) \(id): \(got.body.count) bytes, sent were \(sent.body.count)")
            try require(got.hasEnded && sent.hasEnded, "\(what) \(id) has no end")
        }
        for (ours, theirs) in zip(got.sections, sent.sections) {
            let difference = differenceBetween(ours, theirs)
            try require(difference == nil, "\(what) \(id): \(difference ?? "")")
        }
    }

    /// Nothing is open any more; a PING's answer frees the places of the streams that were reset.
    func checkPlaces() throws {
        let open = session.openCount
        try require(open == 0, "\(open) streams are open")
        session.ping(1)
        try pump()
        _ = session.pingAnswered()
        let occupied = session.occupied
        try require(occupied == 0, "\(occupied) places are taken")
    }

    /// The peer goes away: what it has not looked at is gone from the session, the rest ends as it should.
    func goAway() throws {
        peer.writeSettings([HTTP2Setting(parameter: .maxConcurrentStreams, value: 100)])
        try pump()
        let first = session.lastOpened
        for _ in 0..<3 { try open(DrawnSection(fields: [DrawnField(":path", "/")]), ends: true) }
        try pump()
        let opened = requests.keys.filter { $0 > first }.sorted()
        try require(opened.count == 3, "\(opened.count) streams were opened, must be 3")
        peer.write(
            .goAway(lastStreamID: HTTP2StreamID(opened[1]), errorCode: .noError, opaqueData: nil), on: 0)
        try pump()
        try require(goAways == [opened[1]], "GOAWAY of \(goAways), must be of \(opened[1])")
        let isOpen = opened.map { session.isOpen($0) }
        try require(isOpen == [true, true, false], "open are \(isOpen)")
        let (isClosing, hasRoom) = (session.isClosing, session.hasRoom)
        try require(isClosing && !hasRoom, "streams may be opened after GOAWAY")
        session.goAway(code: .noError)
        try pump()
        try require(peer.goAway?.code == 0, "the client's GOAWAY is \(String(describing: peer.goAway))")
        try finishAccepted(Array(opened.prefix(2)))
    }

    private func finishAccepted(_ ids: [Int]) throws {
        for id in ids {
            let fields = drawShortSection()
            responses[id] = Sent(sections: [fields], hasEnded: true)
            peer.writeHeaders(fields, endsStream: true, on: id)
        }
        try pump()
        for id in ids { try compare(received[id], responses[id], on: id, "response") }
    }
}
