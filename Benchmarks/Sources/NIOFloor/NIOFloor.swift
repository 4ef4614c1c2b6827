import Foundation
import NIOCore
import NIOPosix

/// Measures SwiftNIO without a client: writes the same request repeatedly on each connection, and only counts the
/// answers.
///
/// `NIOFloor HOST PORT TARGET COUNT CONNECTIONS`. The result is the minimum cost of a client on SwiftNIO, on this
/// machine, now.
@main
enum NIOFloor {
    static func main() {
        // Do not use an asynchronous `main`: valgrind fails when such a `main` gives up its thread.
        let isDone = DispatchSemaphore(value: 0)
        Task.detached {
            do {
                try await run()
            } catch {
                print("NIOFloor: \(error)")
                exit(1)
            }
            isDone.signal()
        }
        isDone.wait()
    }

    private static func run() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 6, let port = Int(arguments[2]), let count = Int(arguments[4]),
            let connections = Int(arguments[5]), count >= connections, connections > 0
        else {
            throw Misuse(text: "NIOFloor HOST PORT TARGET COUNT CONNECTIONS, with COUNT no less than CONNECTIONS")
        }
        let host = arguments[1]
        let request = ByteBuffer(string: "GET \(arguments[3]) HTTP/1.1\r\nHost: \(host):\(port)\r\n\r\n")
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<connections {
                let share = count / connections + (index < count % connections ? 1 : 0)
                group.addTask { try await run(share, of: request, host: host, port: port, on: loop) }
            }
            try await group.waitForAll()
        }
        print(#"{"summary":{"succeeded":\#(count)}}"#)
    }

    private static func run(
        _ count: Int, of request: ByteBuffer, host: String, port: Int, on loop: any EventLoop
    ) async throws {
        let finished = loop.makePromise(of: Void.self)
        let channel = try await ClientBootstrap(group: loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AnswerCounter(request: request, count: count, finished: finished)
                    )
                }
            }
            .connect(host: host, port: port).get()
        try await finished.futureResult.get()
        try? await channel.close()
    }
}

struct Misuse: Error, CustomStringConvertible {
    let text: String
    var description: String { "usage: \(text)" }
}
