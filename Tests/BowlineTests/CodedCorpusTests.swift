import Bowline
import BowlineTesting
import CorpusSupport
import NIOCore
import Testing

/// The group `encoding` of the corpus with decompression on: what the reader sees.
@Suite("Coded corpus cases", .timeLimit(.minutes(1)))
struct CodedCorpusTests {
    /// What the reader of a case's body must see.
    private enum Outcome {
        case decoded([UInt8])
        /// As it came over the wire, with its fields.
        case untouched([UInt8])
        case failure(ServiceError.Code)
    }

    private static func outcome(of corpusCase: CorpusCase) throws -> Outcome {
        let raw = Outcome.untouched(corpusCase.body ?? [])
        // Codings that are not decoded yet, a part that cannot be decoded alone, and more layers than are decoded.
        if corpusCase.id.hasPrefix("enc-br-") || corpusCase.id.hasPrefix("enc-zstd-") { return raw }
        if corpusCase.status == 206 || corpusCase.id == "enc-chain-6" || corpusCase.body?.isEmpty == true { return raw }
        switch try #require(corpusCase.decoding) {
        case .ok, .either: return .decoded(try #require(corpusCase.decodedBody))
        case .passthrough: return raw
        case .fail: return .failure(.decompressionFailed)
        case .limit: return .failure(.decompressionLimitExceeded)
        }
    }

    @Test(
        "Every coded case of the corpus reaches its reader decoded, untouched, or as an error",
        .tags(.DC1, .DC2, .DC3, .DC4, .DC5, .DC6, .DC7))
    func cases() async throws {
        let cases = try Corpus.load().filter { $0.group == "encoding" }
        #expect(cases.count >= 23)
        for corpusCase in cases {
            try await check(corpusCase, pieces: corpusCase.chunking)
            // In every segmentation.
            try await check(corpusCase, pieces: Array(stride(from: 7, to: min(corpusCase.bytes.count, 700), by: 7)))
        }
    }

    private func check(_ corpusCase: CorpusCase, pieces: [Int]) async throws {
        let outcome = try Self.outcome(of: corpusCase)
        try await withLoopbackServer { server in
            server.onConnection { connection in
                guard connection.number == 1 else { return try await connection.serveRequests() }
                guard try await connection.readRequestHead() != nil else { return }
                var start = 0
                for end in pieces + [corpusCase.bytes.count] {
                    try await connection.send(ByteBuffer(bytes: corpusCase.bytes[start..<end]))
                    start = end
                }
                if corpusCase.end == .close { return try await connection.closeNow() }
                try await connection.serveRequests()
            }
            server.respond { _ in .reply(200, body: "second") }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.redirect.maximum = 0
                $0.timeouts.total = .seconds(20)
            }
            let method = try #require(HTTPRequest.Method(corpusCase.method))
            let response = try await client.send(ServiceRequest(method: method, "/first"))
            let id = Comment(rawValue: corpusCase.id)
            do {
                let body = try await response.body.collect(upTo: 1 << 26)
                switch outcome {
                case .decoded(let bytes):
                    #expect(Array(body.readableBytesView) == bytes, id)
                    #expect(response.fields[.contentEncoding] == nil, id)
                    #expect(response.fields[.contentLength] == nil, id)
                    #expect(!response.facts.removedCodings.isEmpty, id)
                case .untouched(let bytes):
                    #expect(Array(body.readableBytesView) == bytes, id)
                    #expect(response.facts.removedCodings.isEmpty, id)
                    let isCoded = corpusCase.id != "inf-103-content-encoding"
                    #expect((response.fields[.contentEncoding] != nil) == isCoded, id)
                case .failure(let code):
                    Issue.record("\(corpusCase.id) must fail with \(code)")
                }
                // DC1: the connection is as reusable as after an uncoded body.
                let second = try await client.fetch("/second")
                #expect(second.text == "second", id)
                #expect(second.isReused == (corpusCase.isReusable == true && corpusCase.end == .open), id)
            } catch let error as ServiceError {
                guard case .failure(let code) = outcome, error.code == code else {
                    Issue.record("\(corpusCase.id): \(error)")
                    return
                }
                #expect(error.progress == .responseStarted, id)
            }
            await client.shutdown(within: .zero)
        }
    }
}
