import Bowline
import Foundation

/// The snippets of Docs/Requests.md in their order, with the imports that it shows. Nothing here is run.
private enum RequestsSnippets {
    static func snippet1(_ client: ServiceClient) async throws {
        enum Status: String, ParameterValue { case open, inProgress = "in-progress" }

        let cursor: String? = nil
        let found = try await client.get("search", query: ["q": "a&b = c", "limit": 10, "cursor": cursor])
        var query: QueryItems = ["sort": "name", "status": Status.inProgress]
        query.append("tag", each: ["red", "blue"])
        let tagged = try await client.get("items", query: query)
        print(found.status, tagged.status)
    }

    static func snippet2(_ client: ServiceClient) async throws {
        struct Job: Codable { var name: String }

        let response = try await client.post("jobs", json: Job(name: "nightly")) {
            $0.idempotency = .idempotent
            $0.timeouts.attempt = .seconds(3)
            $0.onUploadProgress = { print($0.bytes, $0.fraction ?? 0) }
        }
        print(response)  // status, connection, attempts; never a field or the body
    }

    static func snippet3(_ client: ServiceClient) async throws {
        @Sendable func lines() -> AsyncStream<ByteBuffer> {
            AsyncStream { continuation in
                for number in 1...1000 { continuation.yield(ByteBuffer(string: "line \(number)\n")) }
                continuation.finish()
            }
        }
        _ = try await client.post("log", body: .stream(lines()))  // once; chunked, as no length is given
        _ = try await client.put("log", body: .replayable { lines() })  // anew for each attempt
        _ = try await client.put("log", body: .stream(lines(), length: 8893))  // another count fails the request
    }

    static func snippet4(_ client: ServiceClient) async throws {
        var form = MultipartForm()
        form.append("title", "Holidays")
        form.append("photo", file: try await .file("beach.jpg"), fileName: "beach.jpg", contentType: "image/jpeg")
        form.append("log", file: .text("sunny"), fileName: "log.txt", contentType: "text/plain")
        let album = try await client.post("albums", body: .multipart(form))
        print(album.status)
    }

    static func snippet5(_ client: ServiceClient) async throws {
        struct Problem: Decodable { var detail: String }

        let response = try await client.get("users/0").expecting(.ok, .notFound)
        if response.status == .notFound {
            print(try await response.decode(Problem.self).detail)
        }
    }

    static func snippet6() throws {
        let client = try ServiceClient(baseURL: "https://api.example.com") {
            let encoder = JSONEncoder.json
            encoder.keyEncodingStrategy = .convertToSnakeCase
            $0.encoder = encoder
            let decoder = JSONDecoder.json
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            $0.decoder = decoder
        }
        _ = client
    }

    static func lines(_ client: ServiceClient) async throws {
        let response = try await client.get("orders/export") { $0.timeouts.total = .unlimited }.expecting(.ok)
        for try await order in response.body.decodeLines(of: Order.self) {
            print(order.id)
        }
    }

    static func events(_ client: ServiceClient) async throws {
        let stream = try await client.get("orders/events") {
            $0.timeouts.total = .unlimited
            $0.timeouts.bodyIdle = .seconds(90)  // longer than the service's pauses
        }
        for try await event in try await stream.expecting(.ok).body.serverSentEvents() where event.type == "order" {
            print(event.id, event.data)
        }
    }

    static func links(_ client: ServiceClient) async throws {
        var page = try await client.get("orders", query: ["limit": 100])
        var orders = try await page.decode([Order].self)
        while let next = page.link("next") {
            page = try await client.get(next.target.absoluteString)
            orders += try await page.decode([Order].self)
        }
        print(orders.count)
    }

    static func snippet7(_ client: ServiceClient) async throws {
        let size = try await client.download("exports/2026.csv", to: "2026.csv") { options in
            options.timeouts.total = .seconds(3600)
            options.onDownloadProgress = { print($0.fraction ?? 0) }
        }
        print(size)
    }

    struct Order: Codable { var id: Int }

    struct Filter {
        var customer: Int
        var limit: Int?
    }

    struct Orders {
        let client: ServiceClient

        static let list = Endpoint<Filter, [Order]>(.get, "customers/{customer}/orders") { filter, request in
            request.path["customer"] = filter.customer
            request.query["limit"] = filter.limit
        }
        static let cancel = Endpoint<Int, Void>(.post, "orders/{id}/cancel", options: repeatable) { id, request in
            request.path["id"] = id
        }
        static let export = Endpoint<Void, ServiceResponse>(.get, "export")

        static let repeatable = RequestOptions {
            $0.idempotency = .idempotent
            $0.retry = .never
        }

        func list(_ filter: Filter) async throws -> [Order] { try await client.call(Self.list, filter) }
        func cancel(_ id: Int) async throws { try await client.call(Self.cancel, id) }
        func export() async throws -> ServiceResponse { try await client.call(Self.export) }
    }

    struct PagedOrders {
        let client: ServiceClient

        static let page = Endpoint<Int, Typed<[Order]>>(.get, "orders") { limit, request in
            request.query["limit"] = limit
        }

        /// The order, or nil where there is none.
        static let ifThere = Endpoint<Int, Order?>(
            .get, "orders/{id}", expecting: [.ok, .notFound],
            prepare: { id, request in request.path["id"] = id },
            receive: { response, decoder in
                guard response.status == .ok else { return nil }
                return try await response.decode(Order.self, using: decoder)
            })

        func showPage() async throws {
            let page = try await client.call(Self.page, 50)
            print(page.value.count, page.status, page.attempts, page.fields[.eTag] ?? "no tag")
            print(page.link("next") == nil ? "the last page" : "there is more")
        }
    }
}
