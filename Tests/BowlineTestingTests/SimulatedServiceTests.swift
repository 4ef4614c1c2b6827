import BowlineCore
import NIOCore
import Testing

@testable import BowlineTesting

@Suite("Simulated service", .timeLimit(.minutes(5)))
struct SimulatedServiceTests {
    /// Sends a GET to a service, with these limits only.
    private static func send(
        _ service: SimulatedService, _ time: VirtualTime, url: String? = nil, address: IPAddress? = nil,
        deadline: Duration? = nil, fields: HTTPFields = [:], _ configure: (inout Timeouts) -> Void = { _ in }
    ) async throws -> ServiceResponse {
        var timeouts = Timeouts()
        timeouts.responseHead = nil
        configure(&timeouts)
        var context = RequestContext(
            deadline: deadline.map { Deadline.after($0, clock: time.clock) }, timeouts: timeouts, clock: time.clock)
        if let address { context.placement = AttemptPlacement(address: address) }
        var request = ServiceRequest.get("/")
        request.url = try ServiceURL(url ?? service.baseURL)
        request.fields = fields
        return try await service.send(request, context: context)
    }

    /// Returns the error of a request, and when it came.
    private static func failure(
        _ time: VirtualTime, _ body: () async throws -> ServiceResponse
    ) async throws -> (error: ServiceError, elapsed: Duration) {
        do {
            let response = try await body()
            throw ServiceError(.stubMismatch, "no failure, but \(response.status.code)")
        } catch let error as ServiceError {
            return (error, time.elapsed)
        }
    }

    private static func replica(_ response: ServiceResponse) -> String? { response.connection?.peer }

    // MARK: Answers

    @Test("An answer has its status, fields, body and the replica that it came from, after the work time")
    func answer() async throws {
        let (response, text, elapsed) = try await withVirtualTime { time in
            let service = SimulatedService(time) {
                $0.workTime = .constant(.milliseconds(30))
                $0.latency = .constant(.milliseconds(10))
                $0.answer = SimulatedAnswer(
                    .created, fields: [.contentType: "text/plain"], body: ByteBuffer(string: "made"))
            }
            let response = try await Self.send(service, time)
            return (response, try await response.text(), time.elapsed)
        }
        #expect(response.status == .created)
        #expect(response.fields[.contentType] == "text/plain")
        #expect(text == "made")
        #expect(response.connection?.peer == "10.0.0.1:80")
        #expect(elapsed == .milliseconds(50))
    }

    @Test("Retry-After has decimals only where it needs them")
    func retryAfter() {
        let texts = [Duration.seconds(2), .milliseconds(1500), .milliseconds(20), .zero, .seconds(-1)].map {
            SimulatedAnswer(.serviceUnavailable, retryAfter: $0).fields[.retryAfter]
        }
        #expect(texts == ["2", "1.500", "0.020", "0", "0"])
        #expect(SimulatedAnswer(.serviceUnavailable).fields[.retryAfter] == nil)
    }

    @Test("A quota announces itself: limit, remaining tokens, and when to come back")
    func quota() async throws {
        let responses = try await withVirtualTime { time in
            let service = SimulatedService(time) { $0.workTime = .constant(.zero) }
            service.setQuota(SimulatedQuota(perSecond: 0.5, burst: 2))
            var responses: [ServiceResponse] = []
            for _ in 0..<3 { responses.append(try await Self.send(service, time)) }
            try await time.sleep(for: .seconds(2))
            responses.append(try await Self.send(service, time))
            service.setQuota(nil)
            responses.append(try await Self.send(service, time))
            return responses
        }
        let limit = try #require(HTTPField.Name("RateLimit"))
        let policy = try #require(HTTPField.Name("RateLimit-Policy"))
        #expect(responses.map(\.status.code) == [200, 200, 429, 200, 200])
        #expect(responses.map { $0.fields[policy] } == Array(repeating: #""default";q=2;w=4"#, count: 4) + [nil])
        #expect(responses[0].fields[limit] == #""default";r=1;t=2"#)
        #expect(responses[2].fields[limit] == #""default";r=0;t=4"#)
        #expect(responses.map { $0.fields[.retryAfter] } == [nil, nil, "2", nil, nil])
    }

    // MARK: Limits and cancellation

    @Test("The limits of a request end it at their instant, with their code, and its progress is ambiguous")
    func limits() async throws {
        let failures = try await withVirtualTime { time in
            let service = SimulatedService(time)
            service.schedule(.silent, from: .zero)
            let attempt = try await Self.failure(time) {
                try await Self.send(service, time) { $0.attempt = .seconds(2) }
            }
            let head = try await Self.failure(time) {
                try await Self.send(service, time) { $0.responseHead = .seconds(3) }
            }
            let deadline = try await Self.failure(time) { try await Self.send(service, time, deadline: .seconds(4)) }
            let passed = try await Self.failure(time) { try await Self.send(service, time, deadline: .zero) }
            return [attempt, head, deadline, passed]
        }
        #expect(
            failures.map(\.error.code) == [.attemptTimeout, .responseHeadTimeout, .deadlineExceeded, .deadlineExceeded])
        #expect(failures.map(\.error.progress) == [.ambiguous, .ambiguous, .ambiguous, .neverSent])
        #expect(failures.map(\.elapsed) == [.seconds(2), .seconds(5), .seconds(9), .seconds(9)])
        #expect(failures[0].error.elapsed == .seconds(2))
        #expect(failures[0].error.phase == .awaitingHead)
        #expect(failures[0].error.origin == "http://service.test:80")
    }

    @Test("A cancelled request ends at once, and its work goes on")
    func cancelled() async throws {
        let (wasCancelled, elapsed, total) = try await withVirtualTime { time in
            let service = SimulatedService(time) { $0.workTime = .constant(.seconds(1)) }
            let call = time.startTask { try await Self.send(service, time) }
            try await time.sleep(for: .milliseconds(100))
            call.cancel()
            let result = await call.result
            let elapsed = time.elapsed
            try await time.sleep(for: .seconds(5))
            guard case .failure(let error) = result else { return (false, elapsed, service.totals) }
            return (error is CancellationError, elapsed, service.totals)
        }
        #expect(wasCancelled)
        #expect(elapsed == .milliseconds(100))
        #expect(total.processed == 1)
        #expect(total.good == 0)
        #expect(total.gaveUp == 1)
        #expect(total.busy == .seconds(1))
    }

    @Test("A closed service fails the requests in it, and later ones")
    func closed() async throws {
        let errors = try await withVirtualTime { time in
            let service = SimulatedService(time) { $0.workTime = .constant(.seconds(1)) }
            let call = time.startTask { try await Self.failure(time) { try await Self.send(service, time) } }
            try await time.sleep(for: .milliseconds(100))
            await service.close()
            let inFlight = try await call.value
            let later = try await Self.failure(time) { try await Self.send(service, time) }
            return [inFlight.error, later.error]
        }
        #expect(errors.map(\.code) == [.forciblyClosed, .forciblyClosed])
        #expect(errors.map(\.progress) == [.ambiguous, .neverSent])
    }

    @Test("A client with another clock is told to set the clock")
    func otherClock() async throws {
        let code = try await withVirtualTime { time in
            let service = SimulatedService(time)
            let error = await #expect(throws: ServiceError.self) {
                try await service.send(.get("/"), context: RequestContext(clock: TestClock()))
            }
            return error?.code
        }
        #expect(code == .invalidConfiguration)
    }

    @Test("A run that is stuck names the service", .tags(.VT4))
    func stuck() async throws {
        let limits = VirtualTimeLimits(end: .distantFuture)
        let time = VirtualTime(seed: 0, order: .arrival, limits: limits, patience: .milliseconds(20))
        let failure = await #expect(throws: VirtualTimeFailure.self) {
            try await time.run { time in
                let service = SimulatedService(time, host: "orders.test")
                service.schedule(.silent, from: .zero)
                _ = try await Self.send(service, time)
            }
        }
        #expect(failure?.waiting == ["1 requests at orders.test"])
    }

    // MARK: Faults

    @Test(
        "Refused and dropped requests have the errors of a real connection, and the trace names the fault", .tags(.VT5))
    func faults() async throws {
        let (dropped, refused, after, trace) = try await withVirtualTime { time in
            let service = SimulatedService(time) { $0.workTime = .constant(.seconds(2)) }
            service.schedule(.refused, from: .seconds(1), until: .seconds(3))
            let dropped = try await Self.failure(time) { try await Self.send(service, time) }
            let refused = try await Self.failure(time) { try await Self.send(service, time) }
            try await time.sleep(untilElapsed: .seconds(3))
            let after = try await Self.send(service, time)
            return (dropped, refused, after.status, time.trace)
        }
        #expect(dropped.error.code == .connectionClosed)
        #expect(dropped.error.progress == .ambiguous)
        #expect(dropped.elapsed == .seconds(1))
        #expect(refused.error.code == .connectionRefused)
        #expect(refused.error.progress == .neverSent)
        #expect(refused.error.phase == .connecting)
        #expect(after == .ok)
        #expect(
            trace == ["1.000000000 service.test: refused begins", "3.000000000 service.test: refused ends"])
    }

    @Test("Options change at their instant, for the replicas that are named")
    func changes() async throws {
        let times = try await withVirtualTime { time in
            let service = SimulatedService(time, replicas: 2) { $0.workTime = .constant(.milliseconds(10)) }
            service.change(at: .seconds(1), replicas: [1]) { $0.workTime = .constant(.milliseconds(70)) }
            service.change(replicas: [7]) { $0.workers = 0 }
            var times: [Duration] = []
            for start in [Duration.zero, .seconds(1)] {
                try await time.sleep(untilElapsed: start)
                for url in service.replicaURLs {
                    let begin = time.elapsed
                    _ = try await Self.send(service, time, url: url)
                    times.append(time.elapsed - begin)
                }
            }
            return times
        }
        #expect(times == [10, 10, 10, 70].map { .milliseconds($0) })
    }

    @Test("Requests that are executed twice are found by their Idempotency-Key, or by a text of the user's")
    func executions() async throws {
        let (executions, repeated, own) = try await withVirtualTime { time in
            let key = try #require(HTTPField.Name("Idempotency-Key"))
            let service = SimulatedService(time)
            for value in ["a", "b", "a", "a"] { _ = try await Self.send(service, time, fields: [key: value]) }
            _ = try await Self.send(service, time)
            let other = SimulatedService(time, host: "other.test") { $0.identity = { $0.fields[.accept] } }
            for _ in 0..<2 { _ = try await Self.send(other, time, fields: [.accept: "x"]) }
            return (service.executions, service.repeatedExecutions, other.executions)
        }
        #expect(executions == ["a": 3, "b": 1])
        #expect(repeated == 2)
        #expect(own == ["x": 2])
    }

    @Test("A replica's own closure may call another service, keeps its worker, and may fail")
    func respond() async throws {
        let (good, failed, elapsed, load) = try await withVirtualTime { time in
            let back = SimulatedService(time, host: "back.test") { $0.workTime = .constant(.milliseconds(200)) }
            let front = SimulatedService(time, host: "front.test", tick: .milliseconds(250)) {
                $0.workers = 1
                $0.workTime = .constant(.milliseconds(50))
                $0.respond = { call in
                    let response = try await back.send(
                        .get("/\(call.replica)"), context: RequestContext(clock: time.clock))
                    return SimulatedAnswer(response.status)
                }
            }
            let good = try await Self.send(front, time)
            let elapsed = time.elapsed
            let load = front.ticks[0].load
            back.schedule(.refused, from: .zero)
            let failed = try await Self.send(front, time)
            return (good.status, failed.status, elapsed, load)
        }
        #expect(good == .ok)
        #expect(failed == .internalServerError)
        #expect(elapsed == .milliseconds(250))
        #expect(load == 1)
    }

    @Test("If the replica notices an abandoned request, the closure's task is cancelled")
    func respondCancelled() async throws {
        let trace = try await withVirtualTime { time in
            let service = SimulatedService(time) {
                $0.finishesAbandonedRequests = false
                $0.respond = { _ in
                    do {
                        try await time.sleep(for: .seconds(100))
                    } catch {
                        time.note("cancelled")
                    }
                    return SimulatedAnswer()
                }
            }
            _ = try await Self.failure(time) { try await Self.send(service, time) { $0.attempt = .seconds(1) } }
            try await time.sleep(for: .seconds(1))
            #expect(service.ticks.last?.load == 0)
            return time.trace
        }
        #expect(trace == ["1.000000000 cancelled"])
    }

    // MARK: Replicas

    @Test("A replica is chosen by its URL, by its address, or by the distribution", .tags(.VT5))
    func replicas() async throws {
        let (byURL, byAddress, byHost, listed, unknown) = try await withVirtualTime { time in
            let service = SimulatedService(time, replicas: 3)
            var byURL: [String?] = []
            for endpoint in service.endpoints {
                byURL.append(Self.replica(try await Self.send(service, time, url: endpoint.url + "/orders")))
            }
            var byAddress: [String?] = []
            for address in service.addresses.reversed() {
                byAddress.append(Self.replica(try await Self.send(service, time, address: address)))
            }
            var byHost: [String?] = []
            for _ in 0..<4 { byHost.append(Self.replica(try await Self.send(service, time))) }
            service.listedReplicas = [2, 9]
            let listed = Self.replica(try await Self.send(service, time))
            var unknown: [ServiceError] = []
            for url in ["http://3.service.test", "http://x.service.test", "http://example.com"] {
                unknown.append(try await Self.failure(time) { try await Self.send(service, time, url: url) }.error)
            }
            return (byURL, byAddress, byHost, listed, unknown)
        }
        let peers = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
        #expect(byURL == peers)
        #expect(byAddress == peers.reversed())
        #expect(byHost == peers + peers.prefix(1))
        #expect(listed == peers[2])
        #expect(unknown.allSatisfy { $0.code == .nameResolutionFailed && $0.progress == .neverSent })
    }

    @Test("The distribution may be random, with equal shares, or always the first replica")
    func distributions() async throws {
        let (random, first) = try await withVirtualTime(seed: 4) { time in
            let random = SimulatedService(time, replicas: 4, distribution: .random) { $0.workTime = .constant(.zero) }
            let first = SimulatedService(time, host: "first.test", replicas: 4, distribution: .first)
            var counts: [String: Int] = [:]
            for _ in 0..<800 { counts[Self.replica(try await Self.send(random, time)) ?? "", default: 0] += 1 }
            var peers: Set<String?> = []
            for _ in 0..<5 { peers.insert(Self.replica(try await Self.send(first, time))) }
            return (counts, peers)
        }
        #expect(random.count == 4)
        #expect(random.values.allSatisfy { (140...260).contains($0) })
        #expect(first == ["10.0.0.1:80"])
    }

    @Test("The transport lists the addresses of its own host, and of no other")
    func listing() async throws {
        let (own, known, other, knownOther) = try await withVirtualTime { time in
            let service = SimulatedService(time, replicas: 2)
            let origin = try ServiceURL(service.baseURL).origin
            let otherOrigin = try ServiceURL("http://example.com").origin
            let before = service.knownAddresses(of: origin, now: time.now)
            service.listedReplicas = [1]
            return (
                try await service.addresses(of: origin, deadline: nil), before,
                try await service.addresses(of: otherOrigin, deadline: nil),
                service.knownAddresses(of: otherOrigin, now: time.now)
            )
        }
        #expect(own == [IPAddress("10.0.0.2")].compactMap { $0 })
        #expect(known == .known([IPAddress("10.0.0.1"), IPAddress("10.0.0.2")].compactMap { $0 }))
        #expect(other == nil)
        #expect(knownOther == .notChoosable)
    }

    // MARK: The record

    @Test("The ticks of all replicas are added, and a part of them can be summed")
    func record() async throws {
        let (ticks, part, capacity) = try await withVirtualTime { time in
            let service = SimulatedService(time, replicas: 2, tick: .seconds(1)) {
                $0.workers = 5
                $0.workTime = .constant(.milliseconds(500))
            }
            for second in 0..<4 {
                try await time.sleep(untilElapsed: .seconds(second))
                for _ in 0..<10 { time.startTask { try await Self.send(service, time) } }
            }
            try await time.sleep(untilElapsed: .milliseconds(3900))
            return (service.ticks, service.totals(from: .seconds(1), until: .seconds(3)), service.capacity)
        }
        #expect(ticks.map(\.start) == [0, 1, 2, 3].map { .seconds($0) })
        #expect(ticks.map(\.offered) == [10, 10, 10, 10])
        #expect(ticks.map(\.good) == [10, 10, 10, 10])
        #expect(ticks.prefix(3).map(\.load) == [0.5, 0.5, 0.5])
        #expect(part.offered == 20)
        #expect(part.length == .seconds(2))
        #expect(part.load == 0.5)
        #expect(capacity == 20)
    }

    @Test("20,000 requests of a simulated minute, byte for byte the same twice")
    func many() async throws {
        @Sendable func run(_ time: VirtualTime) async throws -> [SimulatedTick] {
            let service = SimulatedService(time, replicas: 5) {
                $0.workTime = .logNormal(median: .milliseconds(20), percentile99: .milliseconds(200))
                $0.latency = .exponential(mean: .milliseconds(1))
            }
            service.schedule(.slow(by: 10), from: .seconds(10), until: .seconds(20), replicas: [3])
            service.schedule(.refused, from: .seconds(30), until: .seconds(35))
            service.schedule(.failing(share: 0.5), from: .seconds(40), until: .seconds(50))
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<20_000 {
                    try? await time.sleep(for: .milliseconds(3))
                    group.addTask { _ = try? await Self.send(service, time) { $0.attempt = .milliseconds(500) } }
                }
            }
            return service.ticks
        }
        let first = try await withVirtualTime(seed: 3, run)
        let second = try await withVirtualTime(seed: 3, run)
        #expect(first == second)
        #expect(first.reduce(0) { $0 + $1.offered } == 20_000)
        let settled = first.reduce(0) { $0 + $1.good + $1.refused + $1.failed + $1.gaveUp }
        #expect(settled >= 20_000)
        // Before the faults, all requests succeed.
        #expect(first.prefix(100).allSatisfy { $0.refused == 0 && $0.failed == 0 })
    }
}
