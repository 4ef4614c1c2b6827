import Testing

@testable import BowlineTransport

@Suite("The order in which an HTTP/2 connection writes bodies")
struct HTTP2BodyTurnsTests {
    private final class Sender: HTTP2BodySender {
        let name: String
        var isQueued = false

        init(_ name: String) {
            self.name = name
        }
    }

    @Test("Each sender has its turn in the order of arrival, however often it was added")
    func order() {
        let (first, second) = (Sender("first"), Sender("second"))
        var turns = HTTP2BodyTurns<Sender>(channelLimit: 65_536)
        for sender in [first, second, first, second] { turns.add(sender) }
        #expect(first.isQueued)
        #expect(second.isQueued)
        var names: [String] = []
        while let (sender, _) = turns.next(outputByteCount: 0) {
            names.append(sender.name)
            if names.count < 4 { turns.add(sender) }
        }
        #expect(names == ["first", "second", "first", "second", "first"])
        #expect(turns.isEmpty)
        #expect(!first.isQueued)
        #expect(!second.isQueued)
    }

    struct Share: Sendable {
        let outputByteCount: Int
        let others: Int
        /// Nil: no sender has a turn.
        let limit: Int?
        /// What the channel may hold.
        var channelLimit = 65_536
    }

    @Test(
        "Several senders get one frame each; a single sender gets whole frames until the output is full",
        arguments: [
            Share(outputByteCount: 0, others: 1, limit: 16_384),
            Share(outputByteCount: 65_535, others: 1, limit: 16_384),
            Share(outputByteCount: 0, others: 0, limit: 65_536),
            // A chunk of 32 KiB in two frames, with their heads: the next chunk is not cut 18 bytes short.
            Share(outputByteCount: 32_786, others: 0, limit: 32_768),
            Share(outputByteCount: 49_152, others: 0, limit: 16_384),
            Share(outputByteCount: 49_151, others: 0, limit: 32_768),
            Share(outputByteCount: 65_535, others: 0, limit: 16_384),
            Share(outputByteCount: 65_536, others: 0, limit: nil),
            Share(outputByteCount: 200_000, others: 1, limit: nil),
            // A channel that may hold less than a frame gets one, and one that may hold more than 128 KiB gets no more at once.
            Share(outputByteCount: 0, others: 0, limit: 16_384, channelLimit: 1024),
            Share(outputByteCount: 1024, others: 0, limit: nil, channelLimit: 1024),
            Share(outputByteCount: 0, others: 0, limit: 131_072, channelLimit: 1 << 20),
            Share(outputByteCount: 131_072, others: 0, limit: nil, channelLimit: 1 << 20),
        ])
    func limits(share: Share) {
        var turns = HTTP2BodyTurns<Sender>(channelLimit: share.channelLimit)
        let first = Sender("first")
        turns.add(first)
        for number in 0..<share.others { turns.add(Sender("\(number)")) }
        let turn = turns.next(outputByteCount: share.outputByteCount)
        #expect(turn?.limit == share.limit)
        #expect(turn?.sender.name == (share.limit == nil ? nil : "first"))
        #expect(first.isQueued == (share.limit == nil))
        #expect(turns.hasRoom(in: share.outputByteCount) == (share.limit != nil))
    }

    @Test("Senders that were removed can be added again")
    func removed() {
        let sender = Sender("a")
        var turns = HTTP2BodyTurns<Sender>(channelLimit: 65_536)
        turns.add(sender)
        turns.wrote(on: 5)
        turns.removeAll()
        #expect(turns.isEmpty)
        #expect(!sender.isQueued)
        #expect(turns.lastSender == 5)
        turns.add(sender)
        #expect(!turns.isEmpty)
    }
}
