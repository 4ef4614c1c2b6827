internal import Testing

@testable import BowlineTrust

@Suite("Stalled: windows and the row")
struct StalledTests {
    private static func opened(_ ids: [Int], connection: Int = 1_000_000) -> StalledWindows {
        var windows = StalledWindows()
        windows.raised(0, by: connection - 65_535)
        for id in ids { windows.opened(id) }
        return windows
    }

    @Test("Each stream gets the same number of bytes until its window is used up")
    func rounds() {
        var windows = Self.opened([1, 3])
        windows.raised(3, by: 5)
        #expect(windows.take(upTo: 65_000) == StalledWindows.Part(streams: [1, 3], bytes: 65_000))
        #expect(windows.take(upTo: 65_000) == StalledWindows.Part(streams: [1, 3], bytes: 535))
        #expect(windows.take(upTo: 65_000) == StalledWindows.Part(streams: [3], bytes: 5))
        #expect(windows.take(upTo: 65_000) == nil)
        #expect(windows.isUsedUp)
        #expect(windows.sent == 2 * 65_535 + 5)
        #expect(windows.connection == 1_000_000 - windows.sent)
    }

    @Test("The connection's window bounds all streams, to its last byte")
    func connection() {
        var windows = Self.opened([1, 3, 5], connection: 8)
        #expect(windows.take(upTo: 64) == StalledWindows.Part(streams: [1, 3, 5], bytes: 2))
        #expect(windows.take(upTo: 64) == StalledWindows.Part(streams: [1, 3], bytes: 1))
        #expect(windows.take(upTo: 64) == nil)
        #expect(!windows.isUsedUp)
        windows.raised(0, by: 3)
        #expect(windows.take(upTo: 64) == StalledWindows.Part(streams: [1, 3, 5], bytes: 1))
    }

    @Test("Another initial window changes the windows of open streams too, even to zero")
    func initial() {
        var windows = Self.opened([1])
        windows.initialChanged(to: 10)
        windows.opened(3)
        #expect(windows.take(upTo: 64) == StalledWindows.Part(streams: [1, 3], bytes: 10))
        windows.initialChanged(to: 4)
        #expect(windows.isUsedUp)
        windows.raised(3, by: 7)
        #expect(windows.take(upTo: 64) == StalledWindows.Part(streams: [3], bytes: 1))
    }

    @Test("A row fails above its window plus 16 KiB, and if the peer sent less than the windows")
    func row() {
        var row = StalledRow(window: 65_535, streams: 100)
        row.sent = 6_553_500
        row.beforeKiB = 1_000
        row.peakKiB = 1_000 + 7_999
        #expect(row.limit == 81_919)
        #expect(row.bytesPerStream == 81_909)
        #expect(row.violations == [])
        row.peakKiB += 2
        #expect(row.violations == ["81930 bytes are held for a stream, and its window and a frame are 81919"])
        row.peakKiB = 900
        row.sent = 1
        #expect(
            row.violations == [
                "the peer sent 1 bytes, fewer than 100 windows of 65535", "no memory was held: the run says nothing",
            ])
        #expect(row.cells.count == StalledRow.header.count)
    }
}
