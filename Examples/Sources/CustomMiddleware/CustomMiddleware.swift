import Bowline
import BowlineTesting
import Claims

/// The two places for your own middleware: `swift run --package-path Examples CustomMiddleware`.
@main
enum CustomMiddleware {
    static func main() async throws {
        guard let attemptNumber = HTTPField.Name("X-Attempt") else { return }
        try await withLoopbackServer { server in
            let page: ScriptedReply = .reply(200, fields: [.eTag: "\"a\""], body: "a page")
            server.route(.get, "/page", inOrder: [page, .reply(503), .reply(304, fields: [.eTag: "\"a\""])])
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.middleware.perCall = [Revalidation()]
                $0.middleware.perAttempt = [AttemptNumber(name: attemptNumber)]
                $0.retry.throttledBaseDelay = .milliseconds(10)
            }

            print("The page, for the first time")
            let first = try await client.get("page").text()
            print("And again, while the service has a hiccup")
            let second = try await client.get("page")
            claim("the caller sees a page as ever", try await second.text() == first && second.status == .ok)

            for request in server.requests {
                print("  \(request.method) \(request.target)", terminator: "")
                print(", attempt \(request[attemptNumber] ?? "-"), if none match \(request[.ifNoneMatch] ?? "-")")
            }
            let attempts = server.requests.compactMap { $0[attemptNumber] }
            claim("perAttempt ran for each attempt", attempts == ["1", "1", "2"])
            let tags = server.requests.map { $0[.ifNoneMatch] }
            claim("what perCall added went out with each attempt", tags == [nil, "\"a\"", "\"a\""])
            await client.shutdown()
        }
    }
}
