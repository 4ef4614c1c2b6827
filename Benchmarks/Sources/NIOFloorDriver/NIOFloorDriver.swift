import DriverKit
import Foundation
import NIOCore
import NIOPosix
import NIOSSL

/// SwiftNIO without a client's logic: for each request it connects, writes the same bytes, counts the bytes of the
/// answer until the server closes, and parses nothing. Only for servers that close after each response.
///
/// The result is about the minimum cost of a client on SwiftNIO that dials for each request. A real client also looks for
/// a connection, limits the time, can be cancelled, checks the certificate by its own rules, and parses the response.
struct NIOFloorClient: BenchmarkClient {
    static let name = "SwiftNIO without a client"

    private let address: SocketAddress
    private let request: ByteBuffer
    private let tls: NIOSSLContext?
    private let loop: any EventLoop
    /// One for all connections, because making one is expensive. Without its usual option TCP_NODELAY, because each option
    /// costs a future.
    private let bootstrap: NIOLoopBoundBox<ClientBootstrap>
    private let isOnEventLoop: Bool

    init(_ work: Work) throws {
        guard work.mode == .requests, !work.isHTTP2, work.sent == nil, let url = URL(string: work.url),
            let host = url.host, let port = url.port
        else { throw Misuse() }
        // All addresses of the benchmark are IP addresses or this name.
        address = try SocketAddress(ipAddress: host == "localhost" ? "127.0.0.1" : host, port: port)
        request = ByteBuffer(string: "GET \(url.path) HTTP/1.1\r\nHost: \(host):\(port)\r\n\r\n")
        if let authority = work.authority {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.trustRoots = .file(authority)
            if work.isClassical { configuration.curves = [.x25519, .secp256r1, .secp384r1] }
            tls = try NIOSSLContext(configuration: configuration)
        } else {
            tls = nil
        }
        loop = MultiThreadedEventLoopGroup.singleton.next()
        bootstrap = .makeBoxSendingValue(
            ClientBootstrap(group: loop).enableMPTCP(true).enableMPTCP(false), eventLoop: loop)
        isOnEventLoop = work.isOnEventLoop
    }

    func send() async throws -> (status: Int, bytes: Int) {
        let answer = loop.makePromise(of: Answer.self)
        if loop.inEventLoop { connect(answer) } else { loop.execute { connect(answer) } }
        let read = try await answer.futureResult.get()
        return (read.status, read.bodyBytes)
    }

    private func connect(_ answer: EventLoopPromise<Answer>) {
        bootstrap.value.connect(to: address).whenComplete { [tls, request] connected in
            do {
                let pipeline = try connected.get().pipeline.syncOperations
                if let tls {
                    try pipeline.addHandler(NIOSSLClientHandler(context: tls, serverHostname: "localhost"))
                }
                try pipeline.addHandler(AnswerReader(request: request, answer: answer))
            } catch {
                answer.fail(error)
            }
        }
    }

    func place(_ workers: @escaping @Sendable @concurrent () async throws -> Void) async throws {
        guard isOnEventLoop else { return try await workers() }
        try await withTaskExecutorPreference(LoopExecutor(loop: loop)) { try await workers() }
    }

    func shutdown() async throws {}
}

/// Runs tasks on an event loop.
private final class LoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    init(loop: any EventLoop) {
        self.loop = loop
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

@main
enum NIOFloorDriver {
    static func main() {
        drive(NIOFloorClient.self)
    }
}
