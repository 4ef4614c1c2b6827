import Bowline
import BowlineTesting
import Testing

@Suite("shouldRetry and redirects", .timeLimit(.minutes(1)))
struct ShouldRetryRedirectTests {
    @Test("shouldRetry is not asked about a 3xx that is followed, as Docs/Retries.md says")
    func redirects() async throws {
        let stub = StubTransport()
        stub.on(.get, "/a", always: .respond(.found, fields: [.location: "/b"]))
        stub.on(.get, "/b", always: .respond(.ok))
        let asked = Guarded([Int]())
        let client = try ServiceClient(baseURL: "http://api.example", transport: stub) {
            $0.random = { 0 }
            $0.retry.shouldRetry = { outcome in
                asked.withLock { $0.append(outcome.status?.code ?? 0) }
                return .asUsual
            }
        }
        #expect(try await client.get("a").status == .ok)
        #expect(asked.withLock { $0 } == [200])
    }

    @Test("A closure that accepts only a 200 does not repeat the hop that redirects")
    func repeated() async throws {
        let stub = StubTransport()
        stub.on(.get, "/a", always: .respond(.found, fields: [.location: "/b"]))
        stub.on(.get, "/b", always: .respond(.ok))
        let client = try ServiceClient(baseURL: "http://api.example", transport: stub) {
            $0.random = { 0 }
            $0.retry.shouldRetry = { $0.status == .ok ? .asUsual : .yes }
        }
        #expect(try await client.get("a").status == .ok)
        #expect(stub.calls.map(\.path) == ["/a", "/b"])
    }
}
