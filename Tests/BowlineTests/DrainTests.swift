import Bowline
import BowlineTesting
import BowlineTransport
import NIOCore
import Testing

@Suite("A drain", .timeLimit(.minutes(1)))
struct DrainTests {
    @Test(
        "A drain closes idle connections when it begins, while requests go on; with TLS after a close_notify",
        arguments: [false, true])
    func idleConnections(isEncrypted: Bool) async throws {
        try await withLoopbackServer(isEncrypted ? .tls() : LoopbackServer.Options()) { server in
            let gate = Gate()
            server.route(.get, "/slow") { _ in .reply(200, body: "late").held(by: gate) }
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.tls.trustRoots = .pem(TestCertificates.authority)
            }
            try await client.pool.prewarm(origin: server.baseURL, connections: 3)
            // The server may accept a connection after the client has it.
            try await server.waitForOpenConnections(count: 3)
            async let slow = client.fetch("/slow")
            try await gate.waitForWaiters()
            #expect(client.pool.snapshot().idle == 2)
            async let report = client.shutdown(within: .seconds(600))
            try await ShutdownTests.waitUntil(.draining, client)
            try await server.waitForOpenConnections(count: 1)
            // A connection that ends without close_notify is recorded as truncated.
            #expect(server.connections.compactMap(\.end) == [.clientFinished, .clientFinished])
            #expect(client.pool.snapshot().closed == ["shutdown": 2])
            gate.open()
            #expect(try await slow.text == "late")
            #expect(await report.isClean)
            #expect(await report.connectionsClosed == 3)
        }
    }

    @Test("A drain cancels dials that no request needs when it begins, while requests go on")
    func unneededDials() async throws {
        try await StalledNames.with { client, transport, names, server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: "late").held(by: gate) }
            // An address: no name is resolved.
            async let slow = client.fetch("http://127.0.0.1:\(server.port)/slow")
            try await gate.waitForWaiters()
            let cancelled = Task { try await client.fetch("/never") }
            try await names.asked.wait()
            cancelled.cancel()
            _ = await cancelled.result
            #expect(transport.snapshot().dialling == 1)
            async let report = client.shutdown(within: .seconds(600))
            try await ShutdownTests.waitUntil(.draining, client)
            try await eventually("the dial to be given up") { transport.snapshot().dialling == 0 }
            try await names.answer()
            #expect(server.connections.count == 1)
            gate.open()
            #expect(try await slow.text == "late")
            #expect(await report.isClean)
        }
    }

    @Test("A drain dials for an admitted request that waits, if the connection that it waits for closes")
    func dialsForWaiters() async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.respond { request in
                .reply(200, fields: [.connection: "close"], body: request.path).held(by: gate)
            }
            let client = try ServiceClient(baseURL: server.baseURL) { $0.pool.maximumPerOrigin = 1 }
            async let first = client.fetch("/1")
            try await gate.waitForWaiters()
            async let second = client.fetch("/2")
            try await eventually("the second request to wait") { client.pool.snapshot().waiting == 1 }
            async let report = client.shutdown(within: .seconds(600))
            try await ShutdownTests.waitUntil(.draining, client)
            gate.open()
            #expect(try await first.text == "/1")
            #expect(try await second.text == "/2")
            #expect(await report.isClean)
            #expect(await report.drained == 2)
            #expect(server.connections.count == 2)
        }
    }

    @Test("A drain sends an admitted request again if its reused connection is dead")
    func resends() async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.respond { request in
                if request.path == "/first" { return .reply(200, body: "x") }
                return request.connection == 1 ? .nothing.held(by: gate).thenClose() : .reply(200, body: "again")
            }
            let client = try ServiceClient(baseURL: server.baseURL)
            _ = try await client.fetch("/first")
            async let victim = client.fetch("/victim")
            try await gate.waitForWaiters()
            async let report = client.shutdown(within: .seconds(600))
            try await ShutdownTests.waitUntil(.draining, client)
            gate.open()
            let fetched = try await victim
            #expect(fetched.text == "again")
            #expect(fetched.response.resends == 1)
            #expect(await report.isClean)
            #expect(await report.drained == 1)
        }
    }

    /// Delays every request until its gate opens.
    private struct HoldingBack: ServiceMiddleware {
        let gate: Gate

        func intercept(
            _ request: ServiceRequest, context: RequestContext, next: Next
        ) async throws -> ServiceResponse {
            try await gate.wait()
            return try await next(request, context: context)
        }
    }

    @Test(
        "A drain lets a request finish that a middleware delays, and refuses new ones before any middleware runs",
        .tags(.LC4))
    func inMiddleware() async throws {
        try await withLoopbackServer { server in
            server.respond { request in .reply(200, body: request.path) }
            let gate = Gate()
            let client = try ServiceClient(baseURL: server.baseURL) {
                $0.middleware.perCall = [HoldingBack(gate: gate)]
            }
            async let admitted = client.fetch("/admitted")
            try await gate.waitForWaiters()
            async let report = client.shutdown(within: .seconds(600))
            try await ShutdownTests.waitUntil(.draining, client)
            // The request would wait in the middleware forever.
            let error = try await serviceError { _ = try await client.fetch("/refused") }
            #expect(error.code == .shuttingDown)
            gate.open()
            #expect(try await admitted.text == "/admitted")
            #expect(await report.isClean)
            #expect(server.requests.map(\.path) == ["/admitted"])
        }
    }

    @Test(
        "A drain refuses new calls with shuttingDown, never sent, in each state after it began, and does not count them",
        .tags(.LC4))
    func refusals() async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: "x").held(by: gate) }
            let client = try ServiceClient(baseURL: server.baseURL)
            async let answer = client.fetch("/")
            try await gate.waitForWaiters()
            let subscriber = Task {
                var counts: Set<Int> = []
                for await progress in client.shutdownProgress { counts.insert(progress.inFlight) }
                return counts
            }
            async let report = client.shutdown(within: .seconds(600))
            try await ShutdownTests.waitUntil(.draining, client)
            for _ in 0..<20 { try await expectRefusal(client) }
            await #expect(throws: ServiceError.self) {
                try await client.pool.prewarm(origin: server.baseURL, connections: 3)
            }
            for await progress in client.shutdownProgress {
                #expect(progress.inFlight == 1)
                break
            }
            gate.open()
            _ = try await answer
            #expect(await report.drained == 1)
            #expect(await report.isClean)
            try await expectRefusal(client)
            #expect(await subscriber.value.isSubset(of: [0, 1]))
            #expect(client.pool.snapshot().opened == 1)
            #expect(server.requests.count == 1)
        }
    }

    private func expectRefusal(_ client: ServiceClient) async throws {
        let error = try await serviceError { _ = try await client.fetch("/refused") }
        #expect(error.code == .shuttingDown)
        #expect(error.progress == .neverSent)
        #expect(error.attempts == 0)
    }

    enum BodyEnd: String, CaseIterable, Sendable {
        case read, collected, discarded, dropped, cut, readerCancelled, tooLarge
    }

    @Test(
        "A call is in flight until its response body was consumed, dropped or failed, and no longer",
        .tags(.LC2),
        arguments: BodyEnd.allCases
    )
    func inFlightUntilTheBodyEnds(end: BodyEnd) async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.answerInHalves(second: gate, isCut: end == .cut)
            let client = try ServiceClient(baseURL: server.baseURL)
            var response: ServiceResponse? = try await client.get("/")
            async let report = client.shutdown(within: .seconds(600))
            try await ShutdownTests.waitUntil(.draining, client)
            for await progress in client.shutdownProgress {
                #expect(progress.state == .draining)
                #expect(progress.inFlight == 1)
                break
            }
            if end == .read || end == .collected || end == .cut { gate.open() }
            if end == .dropped { response = nil } else { try await finish(#require(response).body, as: end) }
            let result = await report
            #expect(result.isClean)
            #expect(result.drained == 1)
            // The call did not end by a timeout.
            #expect(result.duration < .seconds(10))
            gate.open()
            withExtendedLifetime(response) {}
        }
    }

    private func finish(_ body: ResponseBody, as end: BodyEnd) async throws {
        switch end {
        case .read: for try await _ in body {}
        case .collected: _ = try await body.collect(upTo: 10)
        case .cut: #expect(try await serviceError { _ = try await body.collect(upTo: 10) }.code == .incompleteBody)
        case .tooLarge: #expect(try await serviceError { _ = try await body.collect(upTo: 9) }.code == .bodyTooLarge)
        case .discarded: body.discard()
        case .readerCancelled:
            let reader = Task { try await body.collect(upTo: 10) }
            reader.cancel()
            await #expect(throws: CancellationError.self) { _ = try await reader.value }
        case .dropped: break
        }
    }

    @Test("States come in order and never go back, from running to closed, forced or not", arguments: [false, true])
    func states(isForced: Bool) async throws {
        try await withLoopbackServer { server in
            let gate = Gate()
            server.respond { _ in .reply(200, body: "x").held(by: gate) }
            let client = try ServiceClient(baseURL: server.baseURL)
            let isSubscribed = Gate()
            let subscriber = Task {
                var states: [ShutdownProgress.State] = []
                for await progress in client.shutdownProgress {
                    if states.last != progress.state { states.append(progress.state) }
                    isSubscribed.open()
                }
                return states
            }
            try await isSubscribed.wait()
            let call = Task { try await client.fetch("/") }
            try await gate.waitForWaiters()
            async let report = client.shutdown(within: .seconds(600))
            try await ShutdownTests.waitUntil(.draining, client)
            if isForced { await client.shutdown(within: .zero) } else { gate.open() }
            #expect(await report.isClean == !isForced)
            #expect(await subscriber.value == [.running, .draining, .closing, .closed])
            _ = await call.result
            // A sequence that begins later has the last state, and ends.
            var late: [ShutdownProgress] = []
            for await progress in client.shutdownProgress { late.append(progress) }
            #expect(late.map(\.state) == [.closed])
            #expect(late.map(\.inFlight) == [0])
        }
    }

    @Test("Progress counts the calls in flight down to zero")
    func countDown() async throws {
        try await withLoopbackServer { server in
            let gates = (0..<5).map { _ in Gate() }
            server.respond { request in .reply(200, body: "x").held(by: gates[Int(request.path.dropFirst()) ?? 0]) }
            let client = try ServiceClient(baseURL: server.baseURL)
            let calls = (0..<5).map { index in Task { try await client.fetch("/\(index)") } }
            try await server.waitForRequests(count: 5)
            async let report = client.shutdown(within: .seconds(600))
            var counts: [Int] = []
            for await progress in client.shutdownProgress where progress.state == .draining {
                guard progress.inFlight != counts.last else { continue }
                counts.append(progress.inFlight)
                if progress.inFlight > 0 { gates[progress.inFlight - 1].open() }
            }
            #expect(counts == [5, 4, 3, 2, 1, 0])
            #expect(await report.drained == 5)
            for call in calls { _ = try await call.value }
        }
    }
}
