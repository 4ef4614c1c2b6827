import BowlineTransport
import CorpusSupport
import Testing

/// Every case of the corpus, cut in every way that a network may cut it.
@Suite struct ResponseCorpusTests {
    @Test("every corpus case gets its verdict when it arrives whole", .tags(.H1a, .I6), arguments: try Corpus.groups())
    func whole(group: String) throws {
        for corpusCase in try Corpus.load() where corpusCase.group == group {
            let complaints = corpusCase.complaints(about: ResponseReader(reading: corpusCase).observation)
            #expect(complaints.isEmpty, "\(corpusCase.id): \(complaints.joined(separator: "; "))")
        }
    }

    @Test("every corpus case gets its verdict when it arrives in the segments it names", .tags(.H1a))
    func segments() throws {
        for corpusCase in try Corpus.load() where !corpusCase.chunking.isEmpty {
            let reader = ResponseReader(reading: corpusCase, cutAt: corpusCase.chunking)
            let complaints = corpusCase.complaints(about: reader.observation)
            #expect(complaints.isEmpty, "\(corpusCase.id): \(complaints.joined(separator: "; "))")
        }
    }

    @Test("every corpus case gets the same verdict byte by byte", .tags(.H1a), arguments: try Corpus.groups())
    func byteByByte(group: String) throws {
        for corpusCase in try Corpus.load() where corpusCase.group == group && !corpusCase.bytes.isEmpty {
            let whole = ResponseReader(reading: corpusCase)
            let cut = ResponseReader(reading: corpusCase, cutAt: 1..<corpusCase.bytes.count)
            expectSame(cut, whole, corpusCase, "byte by byte")
        }
    }

    @Test(
        "every corpus case gets the same verdict cut in two at every byte", .tags(.H1a), arguments: try Corpus.groups())
    func cutInTwo(group: String) throws {
        for corpusCase in try Corpus.load() where corpusCase.group == group {
            let whole = ResponseReader(reading: corpusCase)
            for offset in offsets(of: corpusCase) {
                let cut = ResponseReader(reading: corpusCase, cutAt: [offset])
                guard expectSame(cut, whole, corpusCase, "cut at \(offset)") else { break }
            }
        }
    }

    /// Every offset of most cases. The very long ones repeat themselves: of their middles, every 211th.
    private func offsets(of corpusCase: CorpusCase) -> [Int] {
        let count = corpusCase.bytes.count
        return (0...count).filter { count <= 8_192 || $0 < 512 || $0 > count - 512 || $0 % 211 == 0 }
    }

    @discardableResult
    private func expectSame(
        _ cut: ResponseReader, _ whole: ResponseReader, _ corpusCase: CorpusCase, _ how: String
    ) -> Bool {
        guard corpusCase.complaints(about: cut.observation).isEmpty else {
            Issue.record("\(corpusCase.id) \(how): \(corpusCase.complaints(about: cut.observation))")
            return false
        }
        // What a failed response had delivered before depends on how it was cut, nothing else does.
        let isSame =
            cut.observation.outcome == .failed
            ? whole.observation.outcome == .failed : cut.observation == whole.observation
        if !isSame {
            Issue.record("\(corpusCase.id) \(how): \(cut.observation.outcome), whole \(whole.observation.outcome)")
        }
        return isSame
    }
}
