import BowlineCore
import NIOCore
import NIOEmbedded
import Testing

@testable import BowlineTransport

@Suite("The handler of a tunnel")
struct TunnelHandlerTests {
    private typealias Handler = TunnelHandler<HTTPTunnelStateMachine>
    private struct Broken: Error, CustomStringConvertible {
        let description = "broken: \r\n" + String(repeating: "x", count: 1000)
    }

    /// The results that a handler has reported.
    private final class Results {
        var successes = 0
        var failures: [ProxyFailure?] = []

        func add(_ result: Result<Void, any Error>) {
            switch result {
            case .success: successes += 1
            case .failure(let error): failures.append(error as? ProxyFailure)
            }
        }
    }

    private static let request = "CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\r\n"
    private static let accepted = ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n")

    private static func handler(_ results: Results) -> Handler {
        let machine = HTTPTunnelStateMachine(
            target: TunnelTarget(host: "api.example", port: 443), authorization: nil, limits: HTTP1Limits())
        return TunnelHandler(machine) { results.add($0) }
    }

    /// A channel that is connected, with a handler that has written its request.
    private static func channel(_ results: Results) throws -> (EmbeddedChannel, Handler) {
        let channel = EmbeddedChannel()
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 3128)).wait()
        let handler = Self.handler(results)
        try channel.pipeline.syncOperations.addHandler(handler)
        return (channel, handler)
    }

    @Test("Writes the request when it is added to an active channel, and reports the open tunnel once")
    func active() throws {
        let results = Results()
        let (channel, _) = try Self.channel(results)
        let written = try channel.readOutbound(as: ByteBuffer.self)
        #expect(written.map { String(buffer: $0) } == Self.request)
        try channel.writeInbound(Self.accepted)
        #expect(results.successes == 1)
        #expect(results.failures.isEmpty)
        #expect(channel.isActive)
        _ = try channel.finish(acceptAlreadyClosed: true)
        #expect(results.failures.isEmpty)
    }

    @Test("Writes the request when the channel becomes active, once")
    func becomesActive() throws {
        let results = Results()
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandler(Self.handler(results))
        let before = try channel.readOutbound(as: ByteBuffer.self)
        #expect(before == nil)
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 3128)).wait()
        let written = try channel.readOutbound(as: ByteBuffer.self)
        let more = try channel.readOutbound(as: ByteBuffer.self)
        #expect(written.map { String(buffer: $0) } == Self.request)
        #expect(more == nil)
        _ = try channel.finish(acceptAlreadyClosed: true)
        #expect(results.failures == [.closedEarly(hasAnswered: false)])
    }

    @Test("Writes each message of SOCKS after the answer to the one before")
    func socks() throws {
        let results = Results()
        let channel = EmbeddedChannel()
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1080)).wait()
        let machine = SOCKSStateMachine(
            target: TunnelTarget(host: "api.example", port: 443),
            credentials: ProxyCredentials(user: "user", password: "secret"))
        try channel.pipeline.syncOperations.addHandler(TunnelHandler(machine) { results.add($0) })
        let answers: [[UInt8]] = [[5, 2], [1, 0], SOCKSMachineTests.reply]
        let messages = [
            SOCKSMachineTests.greetingWithCredentials, SOCKSMachineTests.userMessage, SOCKSMachineTests.connect,
        ]
        for (answer, message) in zip(answers, messages) {
            let written = try channel.readOutbound(as: ByteBuffer.self)
            #expect(written == ByteBuffer(bytes: message))
            for byte in answer { try channel.writeInbound(ByteBuffer(bytes: [byte])) }
        }
        let more = try channel.readOutbound(as: ByteBuffer.self)
        #expect(more == nil)
        #expect(results.successes == 1)
        #expect(results.failures.isEmpty)
        _ = try channel.finish(acceptAlreadyClosed: true)
    }

    @Test("A failure before the first message is reported while the handler is added")
    func failsAtOnce() throws {
        let results = Results()
        let channel = EmbeddedChannel()
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1080)).wait()
        let machine = SOCKSStateMachine(
            target: TunnelTarget(host: String(repeating: "n", count: 256), port: 443), credentials: nil)
        try channel.pipeline.syncOperations.addHandler(TunnelHandler(machine) { results.add($0) })
        let written = try channel.readOutbound(as: ByteBuffer.self)
        #expect(written == nil)
        #expect(results.failures == [.unusableName])
        _ = try channel.finish(acceptAlreadyClosed: true)
    }

    @Test("A refusal is reported once, the channel stays open, and the proxy's later bytes and errors are dropped")
    func refused() throws {
        let results = Results()
        let (channel, _) = try Self.channel(results)
        try channel.writeInbound(ByteBuffer(string: "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\n"))
        #expect(channel.isActive)
        try channel.writeInbound(ByteBuffer(string: "body"))
        channel.pipeline.fireErrorCaught(Broken())
        try channel.throwIfErrorCaught()
        _ = try channel.finish(acceptAlreadyClosed: true)
        let read = try channel.readInbound(as: ByteBuffer.self)
        #expect(read == nil)
        #expect(results.failures == [.refused(status: 403)])
        #expect(results.successes == 0)
    }

    @Test("A connection that ends or breaks fails the tunnel once, with a bounded text", .tags(.PX3))
    func ends() throws {
        let closed = Results()
        let (first, _) = try Self.channel(closed)
        try first.writeInbound(ByteBuffer(string: "HTTP/1.1 2"))
        _ = try first.finish(acceptAlreadyClosed: true)
        #expect(closed.failures == [.closedEarly(hasAnswered: true)])

        let broken = Results()
        let (second, _) = try Self.channel(broken)
        second.pipeline.fireErrorCaught(Broken())
        try second.throwIfErrorCaught()
        _ = try second.finish(acceptAlreadyClosed: true)
        #expect(broken.failures.count == 1)
        guard case .connectionBroke(let text)?? = broken.failures.first else {
            Issue.record("\(broken.failures)")
            return
        }
        #expect(text.hasPrefix("broken: ??xxx"))
        #expect(text.utf8.count == 160)
    }

    @Test("After the tunnel is open, the handler passes bytes and errors on until it is removed")
    func passesOn() throws {
        let results = Results()
        let (channel, handler) = try Self.channel(results)
        try channel.writeInbound(Self.accepted)
        let bytes = ByteBuffer(string: "server hello")
        try channel.writeInbound(bytes)
        let read = try channel.readInbound(as: ByteBuffer.self)
        #expect(read == bytes)
        channel.pipeline.fireErrorCaught(Broken())
        #expect(throws: Broken.self) { try channel.throwIfErrorCaught() }
        try channel.pipeline.syncOperations.removeHandler(handler).wait()
        try channel.writeInbound(bytes)
        let readWithout = try channel.readInbound(as: ByteBuffer.self)
        #expect(readWithout == bytes)
        _ = try channel.finish(acceptAlreadyClosed: true)
        #expect(results.successes == 1)
        #expect(results.failures.isEmpty)
    }

    @Test("The dial may remove the handler in the completion, and the next bytes pass")
    func removedInCompletion() throws {
        let channel = EmbeddedChannel()
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 3128)).wait()
        let machine = HTTPTunnelStateMachine(
            target: TunnelTarget(host: "api.example", port: 443), authorization: nil, limits: HTTP1Limits())
        var handler: Handler?
        let added = TunnelHandler(machine) { _ in
            if let handler { _ = channel.pipeline.syncOperations.removeHandler(handler) }
        }
        handler = added
        try channel.pipeline.syncOperations.addHandler(added)
        try channel.writeInbound(Self.accepted)
        try channel.writeInbound(ByteBuffer(string: "x"))
        let read = try channel.readInbound(as: ByteBuffer.self)
        #expect(read == ByteBuffer(string: "x"))
        handler = nil
        _ = try channel.finish(acceptAlreadyClosed: true)
    }

    @Test("A handler that is removed early reports nothing")
    func removedEarly() throws {
        let results = Results()
        let (channel, handler) = try Self.channel(results)
        try channel.pipeline.syncOperations.removeHandler(handler).wait()
        _ = try channel.finish(acceptAlreadyClosed: true)
        #expect(results.successes == 0)
        #expect(results.failures.isEmpty)
    }
}
