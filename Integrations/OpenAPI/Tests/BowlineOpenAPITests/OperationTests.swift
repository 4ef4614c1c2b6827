import Bowline
import BowlineOpenAPI
import BowlineTesting
import OpenAPIRuntime
import Testing

@Suite("Operations, their options and failures", .timeLimit(.minutes(1)))
struct OperationTests {
    private struct Targets: ServiceEventListener {
        let noted = Collected<String>()

        func responseHead(_ event: RequestEvent, status: Int) {
            noted.append("\(event.method) \(event.target) \(status)")
        }
    }

    @Test("the operation's id names the call in events, unless its options say otherwise")
    func names() async throws {
        let targets = Targets()
        let operations: ServiceClientTransport.OperationOptions = { operation, options in
            if operation == "getOrder" { options.targetTemplate = "/orders/{id}" }
        }
        try await withOrders(operations: operations, configure: { $0.telemetry.events = [targets] }) { service in
            service.server.respond { _ in .reply(200) }
            _ = try await service.api.call("listOrders", .get, "/orders?secret=1")
            _ = try await service.api.call("getOrder", .get, "/orders/42")
            _ = try await service.api.call("", .get, "/orders/43")
            #expect(targets.noted.all == ["GET listOrders 200", "GET /orders/{id} 200", "GET /v1/orders/43 200"])
        }
    }

    @Test("the report of a shutdown names the operation that it cut off")
    func reported() async throws {
        try await withOrders(endsClean: false) { service in
            service.server.respond { _ in .stall }
            let call = Task { try await service.api.call("exportOrders", .get, "/export") }
            try await service.server.waitForRequests(count: 1)
            let report = await service.client.shutdown(within: .zero)
            #expect(report.forced.map(\.target) == ["exportOrders"])
            let error = try await serviceError { try await call.value }
            #expect(error.code == .forciblyClosed)
        }
    }

    @Test("options are those of their operation alone")
    func options() async throws {
        let asked = Collected<String>()
        let operations: ServiceClientTransport.OperationOptions = { operation, options in
            asked.append(operation)
            if operation == "once" { options.retry = .never }
            if operation == "placeOrder" { options.idempotency = .idempotent }
            if operation == "stay" { options.redirect = .never }
        }
        try await withOrders(operations: operations) { service in
            service.server.route(.get, "/v1/busy", inOrder: [.reply(503), .reply(503), .reply(200, body: "free")])
            let once = try await service.api.call("once", .get, "/busy")
            #expect(once.response.status == .serviceUnavailable)
            let often = try await service.api.call("often", .get, "/busy")
            #expect(try await often.text() == "free")

            let made = #"{"id":"7","quantity":2}"#
            service.server.route(
                .post, "/v1/orders",
                inOrder: [.reply(503), .reply(201, fields: [.contentType: "application/json"], body: made)])
            let placed = try await service.api.placeOrder(OrdersAPI.Order(id: "", quantity: 2))
            #expect(placed == OrdersAPI.Order(id: "7", quantity: 2))
            let bodies = service.server.requests.filter { $0.method == .post }.map(\.bodyText)
            #expect(bodies.count == 2 && Set(bodies).count == 1 && bodies.first?.isEmpty == false)

            service.server.route(.get, "/v1/old", always: .reply(302, fields: [.location: "/v1/busy"]))
            let moved = try await service.api.call("stay", .get, "/old")
            #expect(moved.response.status == .found)
            #expect(moved.response.headerFields[.location] == "/v1/busy")
            #expect(asked.all == ["once", "often", "placeOrder", "stay"])
        }
    }

    @Test("options that are out of range are refused before anything is sent")
    func refusedOptions() async throws {
        try await withOrders(operations: { _, options in options.timeouts.total = .limited(.zero) }) { service in
            let error = try await serviceError { try await service.api.call() }
            #expect(error.code == .invalidRequest)
            #expect(error.message.contains("options.timeouts.total"))
            #expect(service.server.connections.isEmpty)
        }
    }

    @Test("a refused connection: the runtime's error has Bowline's, and that says that nothing was sent")
    func refusedConnection() async throws {
        try await withOrders(configure: { $0.retry.maximumAttempts = 2 }) { service in
            await service.server.stopListening()
            let error = try await clientError { try await service.api.call("getOrder", .get, "/orders/42") }
            #expect(error.operationID == "getOrder")
            #expect(error.request?.path == "/orders/42")
            #expect(error.response == nil)
            let own = try #require(error.serviceError)
            #expect(own.code == .connectionRefused)
            #expect(own.progress == .neverSent)
            #expect(own.attempts == 2)
            #expect(own.origin == service.server.baseURL)
        }
    }

    @Test("a connection that ends without an answer: the service may have acted")
    func unanswered() async throws {
        try await withOrders { service in
            service.server.respond { _ in .close }
            let error = try await serviceError {
                try await service.api.placeOrder(OrdersAPI.Order(id: "", quantity: 1))
            }
            #expect(error.code == .connectionClosed)
            #expect(error.progress == .ambiguous)
            #expect(error.attempts == 1)
            #expect(service.server.requests.count == 1)
        }
    }

    @Test("a body that ends early fails the decoding with Bowline's error")
    func incompleteBody() async throws {
        try await withOrders { service in
            let response = ScriptedResponse(
                201, fields: [.contentType: "application/json"], body: #"{"id":"42","quantity":3}"#)
            service.server.respond { _ in .cut(after: response.bytes().readableBytes - 4, of: response) }
            let error = try await clientError {
                try await service.api.placeOrder(OrdersAPI.Order(id: "", quantity: 1))
            }
            #expect(error.response?.status.code == 201)
            #expect(error.serviceError?.code == .incompleteBody)
            #expect(error.serviceError?.progress == .responseStarted)
        }
    }

    @Test(
        "cancelling the task ends the call with CancellationError, before and after the head", arguments: [false, true])
    func cancelled(afterHead: Bool) async throws {
        try await withOrders { service in
            let hasHead = Gate()
            service.server.onConnection { connection in
                guard try await connection.readRequest() != nil else { return }
                if afterHead { try await connection.send("HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n") }
                try await connection.stall()
            }
            let call = Task {
                let answer = try await service.api.call("slow", .get, "/slow")
                hasHead.open()
                _ = try await answer.text()
            }
            try await service.server.waitForRequests(count: 1)
            if afterHead { try await hasHead.wait() }
            call.cancel()
            let result = await call.result
            let error = #expect(throws: (any Error).self) { try result.get() }
            // What reads the body outside of the operation sees it as it is.
            let cause = afterHead ? error : (error as? ClientError)?.underlyingError
            #expect(cause is CancellationError)
            try await service.server.waitForOpenConnections(count: 0)
        }
    }

    enum Limit: String, CaseIterable, Sendable {
        case ofOperation, ofTask
    }

    @Test("a limit ends the call: the operation's own, or the deadline of its task", arguments: Limit.allCases)
    func deadline(limit: Limit) async throws {
        let clock = TestClock()
        let operations: ServiceClientTransport.OperationOptions = { _, options in
            if limit == .ofOperation { options.timeouts.total = .seconds(5) }
        }
        try await withOrders(
            operations: operations,
            configure: {
                $0.clock = clock
                $0.retry = .never
                $0.timeouts.connect = nil
                $0.timeouts.poolAcquire = nil
                $0.timeouts.responseHead = nil
                $0.timeouts.bodyIdle = nil
                $0.timeouts.total = nil
                $0.pool.idleTimeout = nil
                $0.pool.maximumLifetime = nil
            }
        ) { service in
            service.server.respond { _ in .stall }
            let hasEnded = Gate()
            let call = Task {
                defer { hasEnded.open() }
                guard limit == .ofTask else { return try await service.api.call("slow", .get, "/slow") }
                return try await Deadline.with(.after(.seconds(5), clock: clock)) {
                    try await service.api.call("slow", .get, "/slow")
                }
            }
            try await service.server.waitForRequests(count: 1)
            try await eventually("the end of the call") {
                if !hasEnded.isOpen { clock.advanceToNextDeadline() }
                return hasEnded.isOpen
            }
            let error = try await serviceError { try await call.value }
            #expect(error.code == .deadlineExceeded)
            #expect(error.progress == .ambiguous)
            #expect(error.phase == .awaitingHead)
        }
    }
}
