import Bowline

/// The recipes of Docs/Cookbook.md about what a service says; `CookbookReadingTests` runs them.
struct CookbookReading {
    struct Order: Codable, Sendable, Equatable {
        var id: Int
        var note: String?
    }

    func allOrders(_ client: ServiceClient) async throws -> [Order] {
        try await Deadline.with(.after(.seconds(60))) {
            var page = try await client.get("orders", query: ["limit": 100])
            var orders = try await page.decode([Order].self)
            while let next = page.link("next")?.target, next.origin == page.url?.origin {
                page = try await client.get(next.absoluteString)
                orders += try await page.decode([Order].self)
            }
            return orders
        }
    }

    struct Page: Codable, Sendable {
        var orders: [Order]
        var next: String?
    }

    func eachOrder(_ client: ServiceClient, _ handle: (Order) async throws -> Void) async throws {
        var cursor: String?
        repeat {
            let page = try await client.get("orders", query: ["cursor": cursor]).decode(Page.self)
            for order in page.orders { try await handle(order) }
            cursor = page.next
        } while cursor != nil
    }

    func importOrders(_ client: ServiceClient, _ handle: (Order) async throws -> Void) async throws {
        let response = try await client.get("orders/export", fields: [.accept: "application/x-ndjson"]) {
            $0.timeouts = .streaming
        }.expecting(.ok)
        for try await order in response.body.decodeLines(of: Order.self, maximum: 64 << 10) {
            try await handle(order)
        }
    }

    static let lastEventID = HTTPField.Name("Last-Event-ID")!
    static let temporary: Set<ServiceError.Code> = [
        .connectionClosed, .incompleteBody, .bodyIdleTimeout, .streamReset, .connectionRefused, .connectFailed,
        .connectTimeout, .responseHeadTimeout,
    ]

    func follow(_ client: ServiceClient, _ handle: (ServerSentEvent) async -> Void) async throws {
        let clock = client.configuration.clock
        var (lastID, pause) = ("", Duration.seconds(3))
        while true {
            do {
                let response = try await client.get(
                    "orders/events", fields: lastID.isEmpty ? [:] : [Self.lastEventID: lastID]
                ) {
                    $0.timeouts = .streaming
                    $0.timeouts.bodyIdle = .seconds(90)  // longer than the service's pauses
                }.expecting(.ok, .noContent)
                if response.status == .noContent { return }  // the service says: do not come back
                for try await event in response.body.serverSentEvents() {
                    await handle(event)
                    (lastID, pause) = (event.id, event.retry ?? pause)
                }
            } catch let error as ServiceError where Self.temporary.contains(error.code) {}
            try await clock.sleep(until: clock.now.advanced(by: pause), tolerance: nil)
        }
    }

    struct KeptOrders: Sendable {
        var tag: String?
        var orders: [Order]
    }

    func refreshed(_ kept: KeptOrders?, _ client: ServiceClient) async throws -> KeptOrders {
        var fields = HTTPFields()
        fields[.ifNoneMatch] = kept?.tag
        let response = try await client.get("orders", fields: fields).expecting(.ok, .notModified)
        if response.status == .notModified, let kept { return kept }
        return KeptOrders(tag: response.fields[.eTag], orders: try await response.decode([Order].self))
    }

    /// nil: somebody else has changed the order meanwhile.
    func change(_ id: Int, _ client: ServiceClient, _ edit: (inout Order) -> Void) async throws -> Order? {
        let found = try await client.get("orders/\(id)")
        var order = try await found.decode(Order.self)
        guard let tag = found.fields[.eTag] else {
            throw ServiceError(.protocolViolation, "the order has no ETag", progress: .responseStarted)
        }
        edit(&order)
        let saved = try await client.put("orders/\(id)", json: order, fields: [.ifMatch: tag])
            .expecting(.ok, .preconditionFailed)
        return saved.status == .ok ? try await saved.decode(Order.self) : nil
    }

    struct Report: Codable, Sendable { var rows: Int }

    func report(_ client: ServiceClient, within limit: Duration = .seconds(300)) async throws -> Report {
        let clock = client.configuration.clock
        let end = Deadline(clock.now.advanced(by: limit))
        return try await Deadline.with(end) {
            let job = try await client.post("reports") { $0.makesIdempotencyKey = true }.expecting(.accepted)
            guard let place = try job.fields[.location].flatMap({ try job.url?.resolving($0) }),
                place.origin == job.url?.origin
            else {
                throw ServiceError(.protocolViolation, "the job has no Location here", progress: .responseStarted)
            }
            while true {
                let response = try await client.get(place.absoluteString).expecting(.ok, .accepted)
                if response.status == .ok { return try await response.decode(Report.self) }
                response.body.discard()
                let seconds = response.fields[.retryAfter].flatMap { Int($0) } ?? 2
                let next = clock.now.advanced(by: .seconds(min(max(seconds, 1), 60)))
                guard next < end.instant else {
                    throw ServiceError(.deadlineExceeded, "the job took too long", progress: .responseStarted)
                }
                try await clock.sleep(until: next, tolerance: nil)
            }
        }
    }

    func saveExport(
        _ client: ServiceClient, to path: String, report: @escaping @Sendable (TransferProgress) -> Void
    ) async throws -> Int {
        try await client.download("orders/export", to: path, fields: [.accept: "text/csv"]) {
            $0.timeouts.bodyIdle = .seconds(60)
            $0.onDownloadProgress = report
        }
    }
}
