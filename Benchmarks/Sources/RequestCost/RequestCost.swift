import BenchmarkPlatform
import Bowline
import Dispatch

/// Sends requests one after another, for a tool that counts the process's instructions:
/// `RequestCost URL COUNT [listener] [h2c]`.
///
/// The client is made by `ServiceClient(baseURL:)`, with the default pipeline over the real transport. With `listener`,
/// a listener receives its events and ignores them. With `h2c`, the client uses HTTP/2 without TLS. If the server closes
/// the connection after each response, each request also costs a dial.
@main
enum RequestCost {
    static func main() {
        let words = CommandLine.arguments.dropFirst()
        guard let url = words.first, let count = words.dropFirst().first.flatMap({ Int($0) }), count > 0 else {
            print("usage: RequestCost URL COUNT [listener] [h2c]")
            exit(64)
        }
        let (isListening, isHTTP2) = (words.contains("listener"), words.contains("h2c"))
        // Do not use an asynchronous `main`: valgrind fails when such a `main` gives up its thread.
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

    /// Ignores all events, with the default methods.
    private struct Listener: ServiceEventListener {}
}
