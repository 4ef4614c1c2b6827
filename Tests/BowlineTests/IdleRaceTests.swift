import Bowline
import BowlineTesting
import Foundation
import HTTPTypes
import Testing

/// Requests that cross the server's close of an unused connection, at many intervals.
///
/// `BOWLINE_ROUNDS`: the number of requests for each interval. 2,000 make the 100,000 that a release is measured with.
@Suite("The idle race", .timeLimit(.minutes(10)))
struct IdleRaceTests {
    private static let rounds = ProcessInfo.processInfo.environment["BOWLINE_ROUNDS"].flatMap { Int($0) } ?? 20
    /// The time between a response and the server's close, in microseconds: near the time that a next request takes.
    private static let distances = Array(stride(from: 0, to: 1000, by: 20))

    @Test(
        "When the close sweeps across the next request, no GET is lost, and no POST is executed twice", .tags(.RT22)
    )
    func sweep() async throws {
        var random = SeededRandom.fromEnvironment()
        try await withLoopbackServer { server in
            server.respond { request in
                let distance = Int(request.path.split(separator: "/").first ?? "") ?? 0
                return .reply(200, body: request.path).thenClose(after: .microseconds(distance))
            }
            // The transport alone has to succeed, without retries.
            let client = try ServiceClient(baseURL: server.baseURL) { $0.retry = .never }
            var plan = Self.distances.flatMap { distance in (0..<Self.rounds).map { (distance, $0) } }
            plan.shuffle(using: &random)
            var lost = 0
            var resent = 0
            for (distance, round) in plan {
                let path = "/\(distance)/\(round)"
                let get = try await client.fetch("\(path)/get")
                #expect(get.text == "\(path)/get")
                resent += get.response.resends
                do {
                    let post = try await client.fetch(.post("\(path)/post", body: .text("x")))
                    #expect(post.text == "\(path)/post")
                    resent += post.response.resends
                } catch let error as ServiceError {
                    #expect(error.code == .connectionClosed)
                    #expect(error.progress == .ambiguous)
                    lost += 1
                }
            }
            await client.shutdown()
            var executions: [String: Int] = [:]
            for request in server.requests { executions[request.path, default: 0] += 1 }
            #expect(executions.filter { $0.key.hasSuffix("/post") && $0.value > 1 }.isEmpty)
            #expect(plan.allSatisfy { executions["/\($0.0)/\($0.1)/get", default: 0] >= 1 })
            print("RT22: \(plan.count) GETs, 0 lost; \(plan.count) POSTs, \(lost) lost, 0 twice; \(resent) resent")
        }
    }
}
