import BowlineTesting
import NIOCore
import Testing

@Suite("Fault proxy: bytes", .timeLimit(.minutes(1)))
struct FaultProxyBytesTests {
    private static let digits = "0123456789"

    @Test("passes all bytes both ways and each side's end, and changes nothing", arguments: [1, 100, 1_000_000])
    func untouched(count: Int) async throws {
        var random = SeededRandom.fromEnvironment()
        let sent = (0..<count).map { _ in UInt8(random.next(in: 0..<256)) }
        let reversed = Array(sent.reversed())
        try await FaultBench.with { bench in
            try await withRawClient(port: bench.proxy.port) { client in
                let peer = try await bench.peer()
                async let received = peer.readToEnd()
                try await client.outbound.write(ByteBuffer(bytes: sent))
                client.finish()
                let (bytes, end) = try await received
                #expect(bytes == sent)
                #expect(end == .clientFinished)
                async let answered: Void = peer.send(ByteBuffer(bytes: reversed))
                let answer = try await client.readBytes(count: count)
                try await answered
                #expect(answer == reversed)
                try await peer.closeNow()
                let rest = await client.readToEnd()
                #expect(rest == ("", .finished))
            }
            try await bench.proxy.waitForOpenConnections(count: 0)
            #expect(bench.proxy.log.allSatisfy { $0.kind == nil })
        }
    }

    @Test("cuts the client's bytes at a byte", arguments: [0, 4, 10], [FaultCut.fin, .reset])
    func cutToServer(offset: Int, how: FaultCut) async throws {
        try await FaultBench.scripted {
            $0.toServer.events = [FaultEvent(at: offset, .cut(how))]
        } _: { bench in
            async let outcome = bench.exchange(Self.digits)
            let received = try await bench.peer().readToEnd()
            #expect(received.bytes == Array(Self.digits.utf8.prefix(offset)))
            #expect(received.end == (how == .fin ? .clientFinished : .clientReset))
            let (text, end) = await outcome
            #expect(text == "")
            #expect(end == (how == .fin ? .finished : .reset))
            let record = bench.proxy.log.first { $0.kind == .cut(how) }
            #expect(record?.direction == .toServer)
            #expect(record?.offset == offset)
        }
    }

    @Test("cuts the server's bytes at a byte", arguments: [0, 4, 10], [FaultCut.fin, .reset])
    func cutToClient(offset: Int, how: FaultCut) async throws {
        try await FaultBench.scripted {
            $0.toClient.events = [FaultEvent(at: offset, .cut(how))]
        } _: { bench in
            async let outcome = bench.exchange("")
            let peer = try await bench.peer()
            try? await peer.send(Self.digits)
            let (text, end) = await outcome
            #expect(text == String(Self.digits.prefix(offset)))
            #expect(end == (how == .fin ? .finished : .reset))
            let received = try await peer.readToEnd()
            #expect(received.bytes == [])
            #expect(received.end == (how == .fin ? .clientFinished : .clientReset))
        }
    }

    @Test("a half-close ends one direction, and the other goes on", arguments: [0, 4, 10])
    func halfCloseToServer(offset: Int) async throws {
        try await FaultBench.scripted {
            $0.toServer.events = [FaultEvent(at: offset, .halfClose)]
        } _: { bench in
            async let outcome = bench.exchange(Self.digits)
            let peer = try await bench.peer()
            let received = try await peer.readToEnd()
            #expect(received.bytes == Array(Self.digits.utf8.prefix(offset)))
            #expect(received.end == .clientFinished)
            try await peer.send("answer")
            try await peer.closeNow()
            let (text, end) = await outcome
            #expect(text == "answer")
            #expect(end == .finished)
        }
    }

    @Test("a half-close towards the client leaves the way to the server open", arguments: [0, 4, 10])
    func halfCloseToClient(offset: Int) async throws {
        try await FaultBench.scripted {
            $0.toClient.events = [FaultEvent(at: offset, .halfClose)]
        } _: { bench in
            try await withRawClient(port: bench.proxy.port) { client in
                let peer = try await bench.peer()
                try await peer.send(Self.digits)
                let (text, end) = await client.readToEnd()
                #expect(text == String(Self.digits.prefix(offset)))
                #expect(end == .finished)
                try await client.send("late")
                let late = try await peer.readText(4)
                #expect(late == "late")
            }
        }
    }

    @Test("The proxy loses, repeats and flips bytes", arguments: FaultDirection.allCases)
    func damages(direction: FaultDirection) async throws {
        let flipped: [UInt8] = [0xCC, 0xCB]  // "3" and "4"
        let cases: [(kind: FaultEvent.Kind, expected: [UInt8])] = [
            (.swallow(2), Array("01256789".utf8)),
            (.duplicate(2), Array("012343456789".utf8)),
            (.corrupt(2), Array("012".utf8) + flipped + Array("56789".utf8)),
        ]
        let scripts = cases.map { damage in
            FaultScript { script in
                let event = FaultEvent(at: 3, damage.kind)
                if direction == .toServer { script.toServer.events = [event] } else { script.toClient.events = [event] }
            }
        }
        try await FaultBench.with(.scripts(scripts)) { bench in
            for (index, damage) in cases.enumerated() {
                let received = try await withRawClient(port: bench.proxy.port) { client -> [UInt8] in
                    let peer = try await bench.peer(index + 1)
                    if direction == .toServer {
                        try await client.send(Self.digits)
                        client.finish()
                        return try await peer.readToEnd().bytes
                    }
                    try await peer.send(Self.digits)
                    return try await client.readBytes(count: damage.expected.count)
                }
                #expect(received == damage.expected, "\(damage.kind)")
                #expect(bench.proxy.log.contains { $0.connection == index && $0.kind == damage.kind && $0.offset == 3 })
            }
        }
    }

    @Test("A trickle delivers all bytes, no faster than the slices allow", arguments: [1, 3])
    func slices(size: Int) async throws {
        try await FaultBench.scripted {
            $0.toServer.sliceBytes = size
            $0.toServer.sliceGap = .milliseconds(10)
        } _: { bench in
            let clock = ContinuousClock()
            let begin = clock.now
            async let outcome = bench.exchange(Self.digits)
            let peer = try await bench.peer()
            let text = try await peer.readText(10)
            #expect(text == Self.digits)
            #expect(clock.now - begin >= .milliseconds(size == 1 ? 90 : 30))
            try await peer.closeNow()
            _ = await outcome
        }
    }

    @Test("a bandwidth is not exceeded")
    func bandwidth() async throws {
        try await FaultBench.scripted {
            $0.toClient.bytesPerSecond = 200_000
        } _: { bench in
            let clock = ContinuousClock()
            let begin = clock.now
            async let outcome = bench.exchange("")
            let peer = try await bench.peer()
            let sent = String(repeating: Self.digits, count: 5000)
            try await peer.send(sent)
            try await peer.closeNow()
            let (text, end) = await outcome
            #expect(text == sent)
            #expect(end == .finished)
            #expect(clock.now - begin >= .milliseconds(250))
        }
    }

    @Test("Latency is added in each direction, and a pause delays the bytes after its byte")
    func latencyAndPause() async throws {
        try await FaultBench.scripted {
            $0.toServer.latency = .milliseconds(60)
            $0.toServer.events = [FaultEvent(at: 5, .pause(.milliseconds(80)))]
            $0.toClient.latency = .milliseconds(60)
            $0.toClient.jitter = .milliseconds(5)
        } _: { bench in
            let clock = ContinuousClock()
            try await withRawClient(port: bench.proxy.port) { client in
                let peer = try await bench.peer()
                let begin = clock.now
                try await client.send(Self.digits)
                let first = try await peer.readText(1)
                #expect(Self.digits.hasPrefix(first))
                #expect(clock.now - begin >= .milliseconds(60))
                let rest = try await peer.readText(10 - first.utf8.count)
                #expect(first + rest == Self.digits)
                #expect(clock.now - begin >= .milliseconds(140))
                try await peer.send("x")
                let answer = try await client.read(count: 1)
                #expect(answer == "x")
                #expect(clock.now - begin >= .milliseconds(200))
            }
            #expect(bench.proxy.log.contains { $0.kind == .pause(.milliseconds(80)) && $0.offset == 5 })
        }
    }

    @Test("Silence in one direction holds back only this direction until it is over")
    func silenceOneWay() async throws {
        try await FaultBench.scripted {
            $0.toServer.events = [FaultEvent(at: 4, .silence)]
        } _: { bench in
            try await withRawClient(port: bench.proxy.port) { client in
                let peer = try await bench.peer()
                try await client.send(Self.digits)
                client.finish()
                let first = try await peer.readText(4)
                #expect(first == "0123")
                try await bench.proxy.waitForRecord { $0.kind == .silence }
                try await peer.send("x")
                let answer = try await client.read(count: 1)
                #expect(answer == "x")
                #expect(peer.record.bytesReceived == 4)
                #expect(peer.isOpen)
                bench.proxy.resume()
                let rest = try await peer.readToEnd()
                #expect(rest.bytes == Array("456789".utf8))
                #expect(rest.end == .clientFinished)
            }
        }
    }

    @Test("silence both ways, from a byte of either direction")
    func silenceBothWays() async throws {
        try await FaultBench.scripted {
            $0.toClient.events = [FaultEvent(at: 2, .silenceBoth)]
        } _: { bench in
            try await withRawClient(port: bench.proxy.port) { client in
                let peer = try await bench.peer()
                try await peer.send("abcd")
                let first = try await client.read(count: 2)
                #expect(first == "ab")
                try await bench.proxy.waitForRecord { $0.kind == .silenceBoth }
                try await client.send("x")
                #expect(peer.record.bytesReceived == 0)
                #expect(bench.proxy.connections == [0])
                bench.proxy.resume()
                let rest = try await client.read(count: 2)
                #expect(rest == "cd")
                let answer = try await peer.readText(1)
                #expect(answer == "x")
            }
        }
    }

    @Test("A peer's reset is passed on after the peer's bytes", arguments: [true, false])
    func resets(byServer: Bool) async throws {
        try await FaultBench.with { bench in
            if byServer {
                async let outcome = bench.exchange("")
                let peer = try await bench.peer()
                try await peer.send("abc")
                try await bench.proxy.waitForRecord { $0.what == "connected" }
                try await peer.reset()
                let (text, end) = await outcome
                #expect(text == "abc")
                #expect(end == .reset)
            } else {
                let peer = try await withRawClient(port: bench.proxy.port) { client in
                    try await client.send("abc")
                    let peer = try await bench.peer()
                    let text = try await peer.readText(3)
                    #expect(text == "abc")
                    try await client.reset()
                    return peer
                }
                let rest = try await peer.readToEnd()
                #expect(rest.bytes == [])
                #expect(rest.end == .clientReset)
            }
            try await bench.proxy.waitForRecord { $0.what == "reset by the \(byServer ? "server" : "client")" }
            try await bench.proxy.waitForOpenConnections(count: 0)
        }
    }

    @Test("A server that does not read stops the client; when it reads, all bytes arrive")
    func backPressure() async throws {
        let count = 64 << 20
        try await FaultBench.scripted {
            $0.toClient.bytesPerSecond = 1_000_000
        } _: { bench in
            try await withRawClient(port: bench.proxy.port) { client in
                let peer = try await bench.peer()
                try await peer.pauseReading()
                let channel = client.channel
                let written = Gate()
                let writing = Task {
                    try await channel.writeAndFlush(ByteBuffer(repeating: 0x78, count: count)).get()
                    written.open()
                }
                // This takes half a second. A proxy without back-pressure would have taken all bytes by then.
                try await peer.send(ByteBuffer(repeating: 0x79, count: 500_000))
                let answer = try await client.readBytes(count: 500_000)
                #expect(answer.count == 500_000)
                #expect(!written.isOpen)
                try await peer.resumeReading()
                var received = 0
                while received < count {
                    let piece = try await peer.read().readableBytes
                    guard piece > 0 else { break }
                    received += piece
                }
                #expect(received == count)
                try await writing.value
            }
        }
    }
}
