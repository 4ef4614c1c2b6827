internal import Bowline
internal import BowlinePlatform
internal import BowlineTesting
internal import Logging

/// Sends requests and reads only the heads of the responses, while the peer fills the window of each stream with frames
/// of one byte.
struct StalledRun: Sendable {
    /// How long to wait until the peer listens.
    private static let patience = Duration.seconds(10)

    let window: Int
    let streams: Int

    /// The run ended before its measurement.
    struct Failed: Error, CustomStringConvertible {
        let description: String
    }

    /// Starts a peer, sends the requests, and measures.
    func run() async throws -> StalledRow {
        let socket = "/tmp/bowline-stalled-\(getpid())-\(window).sock"
        defer { unlink(socket) }
        let peer = try ChildProcess(["stalled-peer", "--socket", socket])
        defer { peer.end() }
        try await eventually("the peer listens", within: Self.patience) { access(socket, F_OK) == 0 }
        let client = try client(of: socket)
        do {
            let row = try await measure(client)
            await client.shutdown(within: .zero)
            return row
        } catch {
            await client.shutdown(within: .zero)
            throw error
        }
    }

    private func client(of socket: String) throws -> ServiceClient {
        let host = socket.split(separator: "/", omittingEmptySubsequences: false).joined(separator: "%2F")
        return try ServiceClient(baseURL: "http+unix://\(host)") {
            $0.http2.negotiation = .http2Only
            $0.http2.maximumConnectionsPerOrigin = 1
            $0.http2.maximumStreams = streams + 8
            $0.http2.streamWindow = window
            $0.timeouts.responseHead = nil
            $0.timeouts.bodyIdle = nil
            $0.timeouts.total = nil
            // Retries until the peer accepts connections.
            $0.retry.maximumAttempts = 10
            // The shutdown cuts the responses off, and a log line for each would hide the table.
            $0.telemetry.logger = Logger(label: "stalled") { _ in SwiftLogNoOpLogHandler() }
        }
    }

    private func measure(_ client: ServiceClient) async throws -> StalledRow {
        // A warm-up, so that the figure before the requests includes the memory that the process and the connection
        // keep.
        for _ in 0..<3 { _ = try await head(client, "/warm").body.collect(upTo: 1) }
        var row = StalledRow(window: window, streams: streams)
        row.beforeKiB = try held()
        var responses: [ServiceResponse] = []
        for number in 0..<streams { responses.append(try await head(client, "/stalled/\(number)")) }
        let (sent, peak) = try await withThrowingTaskGroup(of: Int.self) { group in
            // Measures until the group cancels it.
            group.addTask {
                var peak = try held()
                while (try? await Task.sleep(for: .milliseconds(10))) != nil { peak = max(peak, try held()) }
                return max(peak, try held())
            }
            let last = try await head(client, "/full")
            group.cancelAll()
            let sent = HTTPField.Name(StalledPeer.sentField).flatMap { last.receivedFields[$0] }.flatMap { Int($0) }
            return (sent, try await group.next() ?? 0)
        }
        guard let sent else { throw Failed(description: "the peer did not say how much it sent") }
        row.sent = sent
        row.peakKiB = peak
        withExtendedLifetime(responses) {}
        return row
    }

    private func head(_ client: ServiceClient, _ target: String) async throws -> ServiceResponse {
        let response = try await client.send(ServiceRequest(method: .get, target))
        guard response.status == .ok else { throw Failed(description: "status \(response.status.code)") }
        return response
    }

    private func held() throws -> Int {
        guard let held = ProcessFigures.allocatedKiB() else {
            throw Failed(description: "this system does not say how much memory a process has allocated")
        }
        return held
    }
}
