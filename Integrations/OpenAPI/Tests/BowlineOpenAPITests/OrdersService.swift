import Bowline
import BowlineOpenAPI
import BowlineTesting
import Foundation
import OpenAPIRuntime
import Synchronization
import Testing

/// A scripted server, a client of it, and a generated client over that.
struct OrdersService: Sendable {
    let server: LoopbackServer
    let client: ServiceClient
    let api: OrdersAPI
}

/// Runs `body` with an orders service. A call that is left in flight makes the test fail.
///
/// - Parameters:
///   - options: Of the server.
///   - base: The path of the client's base URL.
///   - serverURL: The generated client's server URL, of the server's base URL; nil: that with `/v1`.
///   - middlewares: Of the generated client.
///   - operations: The transport's options of each operation.
///   - endsClean: Whether nothing is to be cut off by a shutdown.
///   - configure: Changes the client's configuration: no waits before retries.
func withOrders(
    _ options: LoopbackServer.Options = LoopbackServer.Options(), base: String = "",
    serverURL: (String) -> String = { "\($0)/v1" }, middlewares: [any ClientMiddleware] = [],
    operations: ServiceClientTransport.OperationOptions? = nil, endsClean: Bool = true,
    configure: (inout ClientConfiguration) -> Void = { _ in },
    _ body: (OrdersService) async throws -> Void
) async throws {
    try await withLoopbackServer(options) { server in
        let client = try ServiceClient(baseURL: server.baseURL + base) {
            $0.random = { 0 }
            configure(&$0)
        }
        let url = try #require(URL(string: serverURL(server.baseURL)))
        let transport = ServiceClientTransport(client, options: operations)
        let api = OrdersAPI(serverURL: url, transport: transport, middlewares: middlewares)
        do {
            try await body(OrdersService(server: server, client: client, api: api))
        } catch {
            await client.shutdown(within: .zero)
            throw error
        }
        let report = await client.shutdown(within: .seconds(10))
        #expect(report.isClean == endsClean)
    }
}

/// The runtime's error of a call that has to fail.
func clientError(
    sourceLocation: SourceLocation = #_sourceLocation, _ call: () async throws -> some Sendable
) async throws -> ClientError {
    let error = await #expect(throws: ClientError.self, sourceLocation: sourceLocation) { _ = try await call() }
    return try #require(error, sourceLocation: sourceLocation)
}

/// What Bowline says about a call that has to fail.
func serviceError(
    sourceLocation: SourceLocation = #_sourceLocation, _ call: () async throws -> some Sendable
) async throws -> ServiceError {
    let error = try await clientError(sourceLocation: sourceLocation, call)
    return try #require(error.serviceError, sourceLocation: sourceLocation)
}

/// Bytes that differ from place to place, in chunks; at most 4 MiB.
struct PatternChunks: AsyncSequence, Sendable {
    let count: Int
    let chunkSize: Int

    /// The bytes of all chunks.
    var bytes: [UInt8] { Array(Self.pattern.prefix(count)) }

    /// Doubled until there are enough, with another byte behind each half.
    private static let pattern: [UInt8] = {
        var bytes: [UInt8] = Array(0..<251)
        var round: UInt8 = 0
        while bytes.count < 4 << 20 {
            bytes += bytes
            bytes.append(round)
            round += 1
        }
        return bytes
    }()

    func makeAsyncIterator() -> Iterator { Iterator(chunks: self) }

    struct Iterator: AsyncIteratorProtocol {
        fileprivate let chunks: PatternChunks
        private var position = 0

        fileprivate init(chunks: PatternChunks) {
            self.chunks = chunks
        }

        mutating func next() async throws -> ArraySlice<UInt8>? {
            guard position < chunks.count else { return nil }
            let end = Swift.min(chunks.count, position + chunks.chunkSize)
            defer { position = end }
            return PatternChunks.pattern[position..<end]
        }
    }
}

/// What a test counts or collects from several tasks.
final class Collected<Element: Sendable>: Sendable {
    private let elements = Mutex<[Element]>([])

    var all: [Element] { elements.withLock { $0 } }

    func append(_ element: Element) { elements.withLock { $0.append(element) } }
}
