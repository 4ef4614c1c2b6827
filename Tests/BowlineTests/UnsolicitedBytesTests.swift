import Bowline
import BowlineTesting
import Foundation
import HTTPTypes
import NIOCore
import Testing

/// After a complete response the server goes on sending. Bytes that had reached this machine before a request was
/// written must not answer that request (RFC 9112 §9.2).
///
/// `BOWLINE_ROUNDS` says how many rounds of each kind; the measure of a release is 10,000.
@Suite("Unsolicited bytes", .serialized, .timeLimit(.minutes(10)))
struct UnsolicitedBytesTests {
    private static let rounds = ProcessInfo.processInfo.environment["BOWLINE_ROUNDS"].flatMap { Int($0) } ?? 48
    private static let workers = 48
    /// Rounds that share a server, so that neither its record nor the system's ports run out.
    private static let batch = 480

    /// The results of the rounds.
    private struct Tally {
        var rounds = 0
        var requests = 0
        /// Requests in flight that the poison answered or failed: the poison came after they were written.
        var inFlight = 0
        var violations: [String] = []

        mutating func add(_ other: Tally) {
            rounds += other.rounds
            requests += other.requests
            inFlight += other.inFlight
            violations += other.violations
        }
    }

    @Test(
        "Bytes that arrived before a request was written never answer it", .tags(.KA13, .KA14, .I8),
        arguments: Poison.allCases,
        PoisonDelay.allCases
    )
    func neverAnswers(poison: Poison, delay: PoisonDelay) async throws {
        var tally = Tally()
        var first = 0
        while first < Self.rounds {
            let numbers = first..<min(first + Self.batch, Self.rounds)
            tally.add(try await Self.run(numbers, poison, delay))
            first = numbers.upperBound
        }
        print(
            "\(poison.rawValue) \(delay): \(tally.rounds) rounds, \(tally.requests) requests,",
            "\(tally.inFlight) met in flight, \(tally.violations.count) violations"
        )
        #expect(tally.rounds == Self.rounds)
        #expect(tally.violations.isEmpty, "\(tally.violations.prefix(5))")
    }

    private static func run(_ numbers: Range<Int>, _ poison: Poison, _ delay: PoisonDelay) async throws -> Tally {
        try await withLoopbackServer { server in
            let book = PoisonBook()
            server.onConnection { connection in
                while let request = try await connection.readRequest() {
                    guard let round = book.round(of: request), try await round.serve(request, on: connection) else {
                        return
                    }
                }
            }
            return try await withThrowingTaskGroup(of: Tally.self) { group in
                for worker in 0..<min(workers, numbers.count) {
                    group.addTask {
                        // Each worker has a client of its own, so that its next request finds the connection of its
                        // last one.
                        let client = try ServiceClient(baseURL: server.baseURL)
                        var tally = Tally()
                        for number in numbers where number % workers == worker {
                            let round = PoisonRound(number, poison, delay)
                            book.open(round)
                            await Self.play(round, client, &tally)
                            book.close(round)
                            tally.violations += round.violations
                            tally.rounds += 1
                        }
                        await client.shutdown()
                        return tally
                    }
                }
                return try await group.reduce(into: Tally()) { $0.add($1) }
            }
        }
    }

    private static func play(_ round: PoisonRound, _ client: ServiceClient, _ tally: inout Tally) async {
        do {
            let first = try await client.fetch(round.path(1))
            tally.requests += 1
            if first.text != round.path(1) { round.violated("first answer is \(first.text)") }
            switch round.pace {
            case .idle, .atArrival:
                try await round.isOver.wait()
                tally.requests += 1
                let request =
                    round.number % 2 == 0
                    ? ServiceRequest.get(round.path(2)) : .post(round.path(2), body: .text("x"))
                let second = try await client.fetch(request)
                if second.text != round.path(2) { round.violated("answered by \(second.text)") }
                if second.connectionID == first.connectionID { round.violated("the connection was used again") }
            case .busy:
                try await playBusy(round, client, first.connectionID, &tally)
            }
        } catch {
            round.violated("failed: \(error)")
        }
    }

    /// Sends requests without a pause until the poisoned connection is out of use.
    ///
    /// Poison that came during a request has answered it, and the request's own answer meets the next request. A server
    /// that is slower than its client continues this until there is a pause. The client notices at the first pause.
    private static func playBusy(
        _ round: PoisonRound, _ client: ServiceClient, _ connection: Int, _ tally: inout Tally
    ) async throws {
        var remaining = 20
        for number in 2..<5_000 {
            if round.isOver.isOpen { remaining -= 1 }
            guard remaining > 0 else { break }
            let path = round.path(number)
            let began = MonotonicClock().now
            tally.requests += 1
            do {
                let fetched = try await client.fetch(path)
                let isPoison = fetched.response.receivedFields[.init("X-Poison")!] != nil || fetched.text == "poison"
                if isPoison || fetched.text != path {
                    tally.inFlight += 1
                    if isPoison { try await round.isOver.wait() }
                    let leased = fetched.response.timings.leased ?? began
                    if !round.mayHaveAnswered(isPoison ? nil : fetched.text, leased: leased) {
                        round.violated("\(path) was answered by \(isPoison ? "poison" : fetched.text) that was there")
                    }
                }
                // Half a head became part of the answer in flight, which consumed it: nothing is left to notice.
                if isPoison, round.poison == .halfHead {
                    _ = try await client.fetch(ServiceRequest(round.path(number + 1), fields: [.connection: "close"]))
                    return
                }
                if fetched.connectionID != connection { return }
            } catch let error as ServiceError {
                tally.inFlight += 1
                try await round.isOver.wait()
                guard error.code == .protocolViolation, round.mayHaveAnswered(nil, leased: began) else {
                    round.violated("\(path) failed of what was there: \(error)")
                    return
                }
            }
        }
        guard round.isOver.isOpen else {
            let sent = round.poisonSent == nil ? "never sent" : "sent"
            return round.violated("poison \(sent), connection \(connection) still used, \(client.pool.snapshot())")
        }
        try await eventually("the poisoned connection closed") { round.isClosed.isOpen }
    }
}
