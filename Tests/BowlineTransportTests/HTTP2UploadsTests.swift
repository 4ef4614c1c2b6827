import BowlineCore
import BowlineTesting
import HTTPTypes
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("Uploads of an HTTP/2 connection")
struct HTTP2UploadsTests {
    private final class Upload: HTTP2UploadStream {
        let id: Int
        var sending = HTTP2SendQueue()
        var isOpen = true
        var isQueued = false
        var isWaitingForRoom = false

        init(_ id: Int) {
            self.id = id
        }
    }

    /// A session with open streams, its uploads, and the written bytes.
    private struct Peer: ~Copyable {
        var session = HTTP2ClientSession(options: HTTP2SessionOptions())
        var uploads = HTTP2Uploads<Upload>(channelLimit: 65_536)
        var streams: [Upload] = []
        private var reader = HTTP2WireReader()
        /// By stream: the queued bytes that have not been written. Each write must be their beginning.
        private var unwritten: [Int: ByteBuffer] = [:]
        private var byteCount = 0

        /// - Parameters:
        ///   - window: Each stream's.
        ///   - connectionWindow: How much more than 65,535 bytes the connection takes.
        init(
            _ count: Int, window: UInt32 = 1 << 20, connectionWindow: UInt32 = 1 << 20,
            settings: [(UInt16, UInt32)] = []
        ) throws {
            session.start()
            receive(.settings([(4, window)] + settings), .windowUpdate(on: 0, by: connectionWindow))
            for _ in 0..<count {
                streams.append(Upload(try session.open(HTTP2RequestTrailers(CheckedTrailers([:])), endsStream: false)))
            }
            _ = output()
        }

        mutating func receive(_ frames: HTTP2WireFrame...) {
            for frame in frames { session.receive(frame.bytes) }
            while session.nextEvent(now: MonotonicInstant(nanoseconds: 0)) != nil {}
        }

        /// Puts a body, or a part of it, into a stream's queue.
        mutating func append(_ count: Int, to index: Int, _ ending: HTTP2SendQueue.Ending = .open) {
            // No two parts are equal.
            let bytes = ByteBuffer(
                bytes: (byteCount..<byteCount + count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
            byteCount += count
            unwritten[streams[index].id, default: ByteBuffer()].writeImmutableBuffer(bytes)
            streams[index].sending.append(bytes)
            streams[index].sending.ending = ending
            uploads.add(streams[index])
        }

        /// Writes an output. The stream, size and end of each frame in it.
        mutating func write() -> [String] {
            let refused = uploads.write(to: &session)
            return output() + (refused.map { ["\($0.stream.id) refused \($0.section.limit)"] } ?? [])
        }

        private mutating func output() -> [String] {
            if let bytes = session.takeOutput() { reader.append(bytes) }
            var shapes: [String] = []
            while let frame = reader.next() {
                guard frame.kind == .data || frame.kind == .headers else { continue }
                let size = frame.kind == .data ? "\(frame.payload.readableBytes)" : "fields"
                if frame.kind == .data {
                    let bytes = unwritten[frame.stream]?.readSlice(length: frame.payload.readableBytes)
                    #expect(frame.payload == bytes, "other bytes on stream \(frame.stream)")
                }
                shapes.append("\(frame.stream): \(size)\(frame.endsStream ? " end" : "")")
            }
            return shapes
        }

        /// The kernel accepts a flush.
        mutating func taken(upTo end: Int?) -> [String] {
            var taken: [String] = []
            while let end, let mark = uploads.acceptedNext(upTo: end) {
                switch mark {
                case .body(let stream, let count, let isLast):
                    taken.append("\(stream.id): \(count)\(isLast ? " last" : "")")
                case .ping(let number): taken.append("ping \(number)")
                }
            }
            return taken
        }
    }

    @Test("Chunks of 64 KiB of a single upload go out in whole frames, output by output")
    func wholeFrames() throws {
        var peer = try Peer(1)
        for _ in 0..<4 { peer.append(65_536, to: 0) }
        for _ in 0..<4 {
            let shapes = peer.write()
            #expect(shapes == [String](repeating: "1: 16384", count: 4))
        }
        let rest = peer.write()
        #expect(rest.isEmpty)
        #expect(!peer.uploads.isDue)
    }

    @Test("two bodies take turns, frame by frame, and end with their last bytes")
    func turns() throws {
        var peer = try Peer(2)
        peer.append(20_000, to: 0, .withBody)
        peer.append(40_000, to: 1, .withBody)
        let shapes = peer.write()
        #expect(shapes == ["1: 16384", "3: 16384", "1: 3616 end", "3: 16384", "3: 7232 end"])
        #expect(peer.uploads.lastSender == 3)
        let end = peer.uploads.flushed()
        let taken = peer.taken(upTo: end)
        #expect(taken == ["1: 16384", "3: 16384", "1: 3616 last", "3: 23616 last"])
        #expect(peer.uploads.isAllAccepted)
    }

    @Test("A stream without a window leaves the queue and does not block another")
    func noWindow() throws {
        var peer = try Peer(2, window: 10)
        peer.append(25, to: 0)
        peer.append(5, to: 1, .withBody)
        let first = peer.write()
        #expect(first == ["1: 10", "3: 5 end"])
        #expect(!peer.uploads.isDue)
        peer.receive(.windowUpdate(on: 1, by: 100))
        peer.uploads.add(peer.streams[0])
        let second = peer.write()
        #expect(second == ["1: 15"])
    }

    @Test("the end of a body needs no window")
    func emptyEnd() throws {
        var peer = try Peer(1, window: 0)
        peer.append(0, to: 0, .withBody)
        let shapes = peer.write()
        #expect(shapes == ["1: 0 end"])
    }

    @Test("Trailers follow the body; trailers that the peer does not accept are reported, and other uploads continue")
    func trailers() throws {
        var peer = try Peer(2, settings: [(6, 100)])
        let large = try CheckedTrailers([.accept: String(repeating: "x", count: 100)])
        peer.append(3, to: 0, .withTrailers(large))
        peer.append(4, to: 1, .withTrailers(try CheckedTrailers([.accept: "x"])))
        let first = peer.write()
        #expect(first == ["1: 3", "1 refused 100"])
        let second = peer.write()
        #expect(second == ["3: 4", "3: fields end"])
        let end = peer.uploads.flushed()
        let taken = peer.taken(upTo: end)
        #expect(taken == ["1: 3", "3: 4 last"])
    }

    @Test("A stream that was closed meanwhile is skipped, and a stream with nothing to send is not queued")
    func closed() throws {
        var peer = try Peer(2)
        peer.append(3, to: 0)
        peer.append(0, to: 1)
        peer.streams[0].isOpen = false
        #expect(peer.uploads.isDue)
        #expect(!peer.streams[1].isQueued)
        let shapes = peer.write()
        #expect(shapes.isEmpty)
        peer.uploads.add(peer.streams[0])
        #expect(!peer.uploads.isDue)
    }

    @Test("A flush is tracked if it has a mark")
    func flushes() throws {
        var peer = try Peer(1)
        let nothing = peer.uploads.flushed()
        #expect(nothing == nil)
        peer.uploads.wrotePing(4)
        #expect(!peer.uploads.awaitsKernel)
        #expect(!peer.uploads.isAllAccepted)
        let end = peer.uploads.flushed()
        #expect(peer.uploads.awaitsKernel)
        let taken = peer.taken(upTo: end)
        #expect(taken == ["ping 4"])
        #expect(peer.uploads.isAllAccepted)
    }

    @Test("Uploads resume in order when few of their bytes wait; closed and resumed uploads are forgotten")
    func room() throws {
        var peer = try Peer(4)
        for (index, count) in [10, 101, 20, 30].enumerated() {
            peer.streams[index].sending.append(ByteBuffer(repeating: 1, count: count))
            peer.streams[index].isWaitingForRoom = true
            peer.uploads.waitForRoom(peer.streams[index])
            peer.uploads.waitForRoom(peer.streams[index])
        }
        peer.streams[2].isOpen = false
        var roomy: [Int] = []
        while let stream = peer.uploads.popUploadWithRoom(upTo: 100) { roomy.append(stream.id) }
        #expect(roomy == [1, 7])
        _ = peer.streams[1].sending.next(upTo: 1)
        peer.streams[1].isWaitingForRoom = false
        let wentOn = peer.uploads.popUploadWithRoom(upTo: 100)
        #expect(wentOn == nil)
    }

    @Test("Bytes in the channel do not count against a body's room")
    func roomBesideTheChannel() throws {
        var peer = try Peer(1)
        peer.streams[0].sending.append(ByteBuffer(repeating: 1, count: 150))
        peer.streams[0].isWaitingForRoom = true
        peer.uploads.waitForRoom(peer.streams[0])
        let before = peer.uploads.popUploadWithRoom(upTo: 100)
        _ = peer.streams[0].sending.next(upTo: 50)
        let after = peer.uploads.popUploadWithRoom(upTo: 100)
        #expect(before == nil)
        #expect(after?.id == 1)
    }

    @Test("nothing is left when the connection has ended")
    func removeAll() throws {
        var peer = try Peer(1)
        peer.append(3, to: 0)
        peer.uploads.wrotePing(1)
        peer.streams[0].isWaitingForRoom = true
        peer.uploads.waitForRoom(peer.streams[0])
        peer.uploads.removeAll()
        #expect(!peer.uploads.isDue)
        #expect(peer.uploads.isAllAccepted)
        let roomy = peer.uploads.popUploadWithRoom(upTo: 100)
        #expect(roomy == nil)
    }
}
