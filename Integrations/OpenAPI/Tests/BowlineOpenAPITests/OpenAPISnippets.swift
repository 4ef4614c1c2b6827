import Bowline
import BowlineOpenAPI
import BowlineTesting
import Foundation
import OpenAPIRuntime
import Testing

/// The snippets of Docs/OpenAPI.md in their order, with the imports that it shows. Nothing here is run.
private enum OpenAPISnippets {
    static func snippet1() async throws {
        let client = try ServiceClient(baseURL: "https://api.example.com/v1") {
            $0.timeouts.total = .seconds(20)
        }
        let orders = Client(serverURL: try Servers.Server1.url(), transport: ServiceClientTransport(client))

        let order = try await orders.getOrder(path: .init(id: "42")).ok.body.json
        print(order.quantity)
        await client.shutdown()
    }

    static func snippet2(_ client: ServiceClient) {
        let transport = ServiceClientTransport(client) { operation, options in
            switch operation {
            case "exportOrders": options.timeouts = .streaming
            case "placeOrder": options.makesIdempotencyKey = true
            case "getOrder": options.targetTemplate = "/orders/{id}"
            default: break
            }
        }
        _ = transport
    }

    static func snippet3(_ orders: Client, _ order: Components.Schemas.Order) async throws {
        do {
            _ = try await orders.placeOrder(body: .json(order)).created
        } catch let error as ClientError {
            guard let failure = error.serviceError else { throw error }
            print(error.operationID, failure.code, failure.progress, failure.attempts)
        }
    }

    static func snippet4(_ orders: Client) async throws {
        let order = try await Deadline.with(.after(.seconds(1))) {
            try await orders.getOrder(path: .init(id: "42"))
        }
        _ = order
    }

    static func snippet5() async throws {
        let stub = StubTransport()
        stub.on(
            .get, "/v1/orders/{id}",
            always: .respond(fields: [.contentType: "application/json"], body: #"{"id":"42","quantity":3}"#))
        let client = try ServiceClient(baseURL: "https://api.example.com/v1", transport: stub)
        let orders = Client(serverURL: try Servers.Server1.url(), transport: ServiceClientTransport(client))

        let order = try await orders.getOrder(path: .init(id: "42")).ok.body.json
        #expect(order.quantity == 3)
        try stub.verify()
    }
}

// What the generator would write for the snippets' document, as far as they use it.

private enum Servers {
    enum Server1 {
        static func url() throws -> URL { try URL(validatingOpenAPIServerURL: "https://api.example.com/v1") }
    }
}

private enum Components {
    enum Schemas {
        struct Order: Codable, Sendable {
            var id: String
            var quantity: Int
        }
    }
}

private struct Client: Sendable {
    struct OrderID {
        var id: String
    }

    struct Output {
        struct Content {
            struct Body {
                let json: Components.Schemas.Order
            }

            let body: Body
        }

        let ok: Content
        let created: Content
    }

    enum Input {
        case json(Components.Schemas.Order)
    }

    init(serverURL: URL, transport: any ClientTransport) {}

    func getOrder(path: OrderID) async throws -> Output { throw CancellationError() }
    func placeOrder(body: Input) async throws -> Output { throw CancellationError() }
}
