internal import NIOCore
internal import Testing

@testable import BowlineTrust

@Suite("The writes that wait in a simulated channel")
struct SimulationOutboxTests {
    @Test("Only flushed writes are taken, in order, and in any parts")
    func parts() {
        var outbox = SimulationOutbox()
        outbox.add(ByteBuffer(string: "abcdef"), nil)
        #expect(outbox.take(10) == nil)
        outbox.flush()
        outbox.add(ByteBuffer(string: "gh"), nil)
        #expect(outbox.count == 8)
        #expect(outbox.take(0) == nil)
        #expect(outbox.take(4).map { String(buffer: $0.bytes) } == "abcd")
        #expect(outbox.take(4).map { String(buffer: $0.bytes) } == "ef")
        #expect(outbox.take(4) == nil)
        #expect(outbox.count == 2)
        outbox.flush()
        #expect(outbox.take(4).map { String(buffer: $0.bytes) } == "gh")
        #expect(outbox.isEmpty)
    }

    @Test("A flushed write of no bytes needs no room")
    func empty() {
        var outbox = SimulationOutbox()
        outbox.add(ByteBuffer(), nil)
        outbox.flush()
        #expect(outbox.take(0)?.bytes.readableBytes == 0)
        #expect(outbox.isEmpty)
    }
}
