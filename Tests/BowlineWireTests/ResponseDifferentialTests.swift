import BowlineTransport
import CorpusSupport
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

/// Another implementation's reading of unambiguous messages.
@Suite struct ResponseDifferentialTests {
    @Test("Responses that both NIOHTTP1 and this parser accept are the same message", arguments: try Corpus.groups())
    func corpus(group: String) throws {
        for corpusCase in try Corpus.load()
        where corpusCase.group == group && corpusCase.method == "GET" && corpusCase.informational == nil {
            guard corpusCase.leftover == nil, let theirs = Self.decode(corpusCase.bytes, corpusCase.end) else {
                continue
            }
            let ours = ResponseReader(reading: corpusCase).observation
            guard ours.outcome == .delivered else { continue }
            Self.expectSame(ours, theirs, corpusCase.id)
        }
    }

    @Test("Random well-formed responses are the same message to NIOHTTP1 and to this parser, whole and cut")
    func randomMessages() {
        let seed = UInt64.random(in: .min ... .max)
        print("ResponseDifferentialTests seed: \(seed)")
        var random = SeededRandom(seed: seed)
        for round in 0..<400 {
            let message = RandomResponse.make(using: &random)
            guard let theirs = Self.decode(message, .open) else {
                Issue.record("seed \(seed), round \(round): refused by NIOHTTP1: \(message.count) bytes")
                continue
            }
            var reader = ResponseReader(to: .other)
            var rest = message[...]
            while !rest.isEmpty {
                let count = Int.random(in: 1...rest.count, using: &random)
                reader.receive(rest.prefix(count))
                rest = rest.dropFirst(count)
            }
            #expect(reader.error == nil, "seed \(seed), round \(round)")
            Self.expectSame(reader.observation, theirs, "seed \(seed), round \(round)")
        }
    }

    private static func expectSame(_ ours: CorpusObservation, _ theirs: CorpusObservation, _ what: String) {
        #expect(ours.outcome == theirs.outcome, "\(what)")
        #expect(ours.status == theirs.status, "\(what)")
        #expect(ours.headers == theirs.headers, "\(what)")
        #expect(ours.body == theirs.body, "\(what)")
        #expect(ours.trailers == theirs.trailers, "\(what)")
    }

    /// NIOHTTP1 leaves the whitespace after a value; RFC 9110 §5.5 has a parser take it off.
    private static func field(name: String, value: String) -> CorpusField {
        var value = value[...]
        while value.last == " " || value.last == "\t" { value.removeLast() }
        return CorpusField(name: name, value: String(value))
    }

    /// Nil if NIOHTTP1 refuses the bytes or does not come to an end of the message.
    private static func decode(_ bytes: [UInt8], _ end: CorpusCase.End) -> CorpusObservation? {
        let channel = EmbeddedChannel()
        defer { _ = try? channel.finish() }
        var observation = CorpusObservation()
        do {
            try channel.pipeline.syncOperations.addHandlers([
                HTTPRequestEncoder(),
                ByteToMessageHandler(HTTPResponseDecoder(informationalResponseStrategy: .forward)),
            ])
            let request = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/")
            try channel.writeOutbound(HTTPClientRequestPart.head(request))
            try channel.writeInbound(ByteBuffer(bytes: bytes))
            if end == .close { channel.pipeline.fireChannelInactive() }
            while let part = try channel.readInbound(as: HTTPClientResponsePart.self) {
                switch part {
                case .head(let head):
                    observation.status = Int(head.status.code)
                    observation.headers = head.headers.map(field)
                case .body(let bytes): observation.body += bytes.readableBytesView
                case .end(let trailers):
                    observation.trailers = trailers?.map(field) ?? []
                    observation.outcome = .delivered
                }
            }
        } catch {
            return nil
        }
        return observation.outcome == .delivered ? observation : nil
    }
}
