import Bowline

/// A typed client of an invented orders service, with one endpoint and one method for each operation.
struct Orders: Sendable {
    let client: ServiceClient

    static let catalogue = Endpoint<Void, [Article]>(.get, "catalogue")
    static let latest = Endpoint<Void, Order>(.get, "orders/latest")

    /// The key is the same on every attempt, so the service recognises an order that it has already taken.
    static let place = Endpoint<NewOrder, Order>(
        .post, "orders", expecting: [.created], options: RequestOptions { $0.makesIdempotencyKey = true }
    ) { order, request in
        try request.encode(order)
    }

    func catalogue() async throws -> [Article] { try await client.call(Self.catalogue, ()) }
    func latest() async throws -> Order { try await client.call(Self.latest, ()) }
    func place(_ item: String) async throws -> Order { try await client.call(Self.place, NewOrder(item: item)) }
}

struct Article: Codable, Sendable {
    var item: String
    var price: Int
}

struct NewOrder: Codable, Sendable {
    var item: String
}

struct Order: Codable, Sendable {
    var id: Int
}
