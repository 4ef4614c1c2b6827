import BowlineTesting
import Testing

@testable import BowlineTransport

@Suite("TLS record boundaries")
struct TLSRecordBoundaryTests {
    @Test("KA13: bytes end between records exactly where the records do, however they are cut")
    func boundaries() {
        let sizes = [0, 1, 5, 300, 16_640]
        var stream: [UInt8] = []
        var boundaries: Set<Int> = [0]
        for size in sizes {
            stream += [23, 3, 3, UInt8(size >> 8), UInt8(size & 255)] + [UInt8](repeating: 0x17, count: size)
            boundaries.insert(stream.count)
        }
        var random = SeededRandom.fromEnvironment()
        for _ in 0..<200 {
            let boundary = TLSRecordBoundary()
            var position = 0
            while position < stream.count {
                let end = min(stream.count, position + 1 + random.next(in: 0..<[2, 9, 4000][random.next(in: 0..<3)]))
                stream[position..<end].withUnsafeBytes { boundary.follow($0) }
                position = end
                #expect(boundary.isInsideRecord == !boundaries.contains(position))
            }
        }
    }
}
