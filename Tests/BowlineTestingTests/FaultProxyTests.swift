import BowlineCore
import BowlineTesting
import NIOCore
import Testing

@Suite("Fault proxy: connections", .timeLimit(.minutes(1)))
struct FaultProxyTests {
    @Test("refuses connections with FIN or RST, and does not dial", arguments: [FaultCut.fin, .reset])
    func refusal(how: FaultCut) async throws {
        try await FaultBench.scripted {
            $0.opening = .refuse(how)
        } _: { bench in
            // Send nothing: a client that writes may receive the reset during the write, and then reads an ordinary
            // end.
            let (text, end) = await bench.exchange("")
            #expect(text == "")
            #expect(end == (how == .fin ? .finished : .reset))
            try await bench.proxy.waitForOpenConnections(count: 0)
            #expect(bench.server.connections.isEmpty)
            #expect(bench.proxy.log.contains { $0.kind == .cut(how) && $0.what.hasPrefix("refused") })
        }
    }

    @Test("a silent opening passes nothing and does not dial, until it is resumed")
    func silentOpening() async throws {
        try await FaultBench.scripted {
            $0.opening = .silence
        } _: { bench in
            try await withRawClient(port: bench.proxy.port) { client in
                try await bench.proxy.waitForRecord { $0.kind == .silence }
                try await client.send("hello")
                #expect(bench.server.connections.isEmpty)
                bench.proxy.resume()
                let peer = try await bench.peer()
                let text = try await peer.readText(5)
                #expect(text == "hello")
            }
        }
    }

    @Test("a delayed opening dials later")
    func delayedOpening() async throws {
        try await FaultBench.scripted {
            $0.opening = .delay(.milliseconds(100))
        } _: { bench in
            let clock = ContinuousClock()
            let begin = clock.now
            try await withRawClient(port: bench.proxy.port) { client in
                try await client.send("hello")
                let text = try await bench.peer().readText(5)
                #expect(text == "hello")
                #expect(clock.now - begin >= .milliseconds(100))
            }
        }
    }

    @Test("the client is reset when the server cannot be dialed")
    func noServer() async throws {
        let server = try await LoopbackServer.start()
        let port = server.port
        await server.stop()
        try await FaultProxy.withProxy(to: "localhost", port: port) { proxy in
            let bench = FaultBench(proxy: proxy, server: server)
            let (text, end) = await bench.exchange("hello")
            #expect(text == "")
            #expect(end == .reset)
            try await proxy.waitForRecord { $0.what.hasPrefix("dial failed: ") }
            try await proxy.waitForOpenConnections(count: 0)
        }
    }

    @Test("A silence that begins now holds back later bytes on open and new connections until it is over")
    func silenceNow() async throws {
        try await FaultBench.with { bench in
            try await withRawClient(port: bench.proxy.port) { client in
                let peer = try await bench.peer()
                try await client.send("a")
                let first = try await peer.readText(1)
                #expect(first == "a")

                bench.proxy.silence([.toServer])
                try await client.send("b")
                try await peer.send("x")
                let answer = try await client.read(count: 1)
                #expect(answer == "x")
                #expect(peer.record.bytesReceived == 1)

                bench.proxy.silence()
                try await peer.send("y")
                try await withRawClient(port: bench.proxy.port) { second in
                    try await bench.proxy.waitForConnections(count: 2)
                    try await second.send("c")
                    #expect(bench.server.connections.count == 1)
                    #expect(peer.record.bytesReceived == 1)
                    bench.proxy.resume()
                    let other = try await bench.peer(2)
                    let opened = try await other.readText(1)
                    #expect(opened == "c")
                }
                let held = try await peer.readText(1)
                #expect(held == "b")
                let late = try await client.read(count: 1)
                #expect(late == "y")
            }
            #expect(bench.proxy.log.contains { $0.what == "resumed" && $0.connection == 0 })
        }
    }

    @Test("Silence and cuts affect only the named connections")
    func byNumber() async throws {
        try await FaultBench.with { bench in
            try await withRawClient(port: bench.proxy.port) { first in
                _ = try await bench.peer(1)
                try await withRawClient(port: bench.proxy.port) { second in
                    let peer = try await bench.peer(2)
                    #expect(bench.proxy.connections == [0, 1])
                    bench.proxy.silence(connections: [0])
                    bench.proxy.cut(.reset, connections: [0, 17])
                    let (text, end) = await first.readToEnd()
                    #expect(text == "")
                    #expect(end == .reset)
                    try await second.send("a")
                    let received = try await peer.readText(1)
                    #expect(received == "a")
                    try await bench.proxy.waitForOpenConnections(count: 1)
                    #expect(bench.proxy.connections == [1])
                }
            }
            #expect(bench.proxy.accepted == 2)
        }
    }

    @Test("A cut ends all open connections, also silent ones", arguments: [FaultCut.fin, .reset])
    func cutNow(how: FaultCut) async throws {
        try await FaultBench.with { bench in
            try await withRawClient(port: bench.proxy.port) { client in
                let peer = try await bench.peer()
                try await bench.proxy.waitForRecord { $0.what == "connected" }
                bench.proxy.silence()
                bench.proxy.cut(how)
                let (_, end) = await client.readToEnd()
                #expect(end == (how == .fin ? .finished : .reset))
                let received = try await peer.readToEnd()
                #expect(received.end == (how == .fin ? .clientFinished : .clientReset))
            }
        }
    }

    @Test("Each plan counts connections from the time it takes effect")
    func plans() async throws {
        let refused = FaultScript { $0.opening = .refuse(.fin) }
        try await FaultBench.with(.scripts([refused])) { bench in
            let first = await bench.exchange("")
            #expect(first == ("", .finished))
            try await withRawClient(port: bench.proxy.port) { _ in _ = try await bench.peer(1) }
            bench.proxy.use(.make { $0 == 1 ? refused : .none })
            try await withRawClient(port: bench.proxy.port) { _ in _ = try await bench.peer(2) }
            let fourth = await bench.exchange("")
            #expect(fourth == ("", .finished))
            #expect(bench.server.connections.count == 2)
            #expect(bench.proxy.log.filter { $0.what == "refused (fin)" }.map(\.connection) == [0, 3])
        }
    }

    @Test("the log says what was done to a connection, in order")
    func log() async throws {
        try await FaultBench.scripted {
            $0.toServer.events = [FaultEvent(at: 3, .swallow(2)), FaultEvent(at: 6, .cut(.reset))]
        } _: { bench in
            _ = await bench.exchange("0123456789")
            try await bench.proxy.waitForOpenConnections(count: 0)
            #expect(
                bench.proxy.log.map(\.description) == [
                    "connection 0: accepted", "connection 0: connected",
                    "connection 0, to the server, byte 3: swallow 2",
                    "connection 0, to the server, byte 6: cut (reset)", "connection 0: closed",
                ])
        }
    }

    @Test("Stopping waits for a connection whose script is being made")
    func stoppingDuringAdmission() async throws {
        let (begun, ended, stopped) = (Gate(), Gate(), Gate())
        let plan = FaultPlan.make { _ in
            begun.open()
            // Blocks the event loop, for a tenth of a second at most.
            let end = MonotonicClock().now.advanced(by: .milliseconds(100))
            while !stopped.isOpen, MonotonicClock().now < end {}
            ended.open()
            return .none
        }
        try await withLoopbackServer { server in
            let proxy = try await FaultProxy.start(port: server.port, plan: plan)
            let exchange = Task {
                try? await withRawClient(port: proxy.port) { client in _ = await client.readToEnd() }
            }
            try await begun.wait()
            try await proxy.stop()
            stopped.open()
            #expect(ended.isOpen)
            #expect(proxy.connections == [])
            _ = await exchange.value
        }
    }

    @Test("Stopping ends connections, dials and silences, and refuses new connections; it may be repeated")
    func stopping() async throws {
        try await withLoopbackServer(.unreachable) { unreachable in
            let proxy = try await FaultProxy.start(port: unreachable.port)
            try await withRawClient(port: proxy.port) { dialing in
                try await withRawClient(port: proxy.port) { silent in
                    try await proxy.waitForConnections(count: 2)
                    proxy.silence(connections: [1])
                    try await proxy.stop()
                    #expect(proxy.connections == [])
                    _ = await dialing.readToEnd()
                    _ = await silent.readToEnd()
                }
            }
            await #expect(throws: (any Error).self) { try await withRawClient(port: proxy.port) { _ in } }
            try await proxy.stop()
        }
    }

    @Test("a server that cannot be dialed is refused when the proxy is started", arguments: [Int.min, -1, 0, 65_536])
    func invalidPort(port: Int) async throws {
        let error = await #expect(throws: FaultProxyError.self) { try await FaultProxy.start(port: port) }
        #expect(error?.description == "port: \(port) is not from 1 to 65535")
    }

    @Test("an empty host is refused")
    func invalidHost() async throws {
        let error = await #expect(throws: FaultProxyError.self) { try await FaultProxy.start(to: "", port: 80) }
        #expect(error?.description == "host: it is empty")
    }
}
