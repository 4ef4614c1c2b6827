import BenchmarkPlatform
import Bowline
import Dispatch

/// Sends requests one after the other, for a tool that counts what a process executes: `RequestCost URL COUNT [listener] [h2c]`.
///
/// The client is as `ServiceClient(baseURL:)` makes it, with the default pipeline over the real transport. With `listener`
/// somebody listens to its events, and does nothing about them; with `h2c` it speaks HTTP/2 without TLS.
@main
enum RequestCost {
    static func main() {
        let words = CommandLine.arguments.dropFirst()
        guard let url = words.first, let count = words.dropFirst().first.flatMap({ Int($0) }), count > 0 else {
            print("usage: RequestCost URL COUNT [listener] [h2c]")
            exit(64)
        }
        let (isListening, isHTTP2) = (words.contains("listener"), words.contains("h2c"))
        // Not an asynchronous `main`: valgrind does not survive how that gives its thread away.
        let isDone = DispatchSemaphore(value: 0)
        Task.detached {
            do {
                try await send(count, to: url, isListening: isListening, isHTTP2: isHTTP2)
            } catch {
                print("RequestCost: \(error)")
                exit(1)
            }
            isDone.signal()
        }
        isDone.wait()
    }

    private static func send(_ count: Int, to url: String, isListening: Bool, isHTTP2: Bool) async throws {
        try await withServiceClient(url, isOnEventLoop: true) {
            if isHTTP2 { $0.http2.negotiation = .http2Only }
            if isListening { $0.telemetry.events = [Listener()] }
        } _: { client in
            for _ in 0..<count {
                let response = try await client.get("")
                guard response.status == .ok, try await response.body.collect(upTo: 1 << 20).readableBytes > 0 else {
                    print("RequestCost: an answer is not whole")
                    exit(1)
                }
            }
        }
    }

    /// Does nothing, as every method does by default.
    private struct Listener: ServiceEventListener {}
}
