import Bowline
import Foundation
@_spi(Generated) import OpenAPIRuntime

/// A client of an orders service over the runtime's `UniversalClient`, as the generator's are.
struct OrdersAPI: Sendable {
    struct Order: Codable, Hashable, Sendable {
        var id: String
        var quantity: Int
        var note: String?
    }

    /// A response as the runtime hands it to the code that makes an `Output` of it.
    struct Answer: Sendable {
        let response: HTTPResponse
        let body: HTTPBody?

        /// The body as text, up to 8 MiB of it; nil if there is no body.
        func text() async throws -> String? {
            guard let body else { return nil }
            return try await String(collecting: body, upTo: 8 << 20)
        }
    }

    struct Undocumented: Error, Hashable {
        let status: Int
    }

    private let client: UniversalClient

    init(serverURL: URL, transport: any ClientTransport, middlewares: [any ClientMiddleware] = []) {
        client = UniversalClient(serverURL: serverURL, transport: transport, middlewares: middlewares)
    }

    /// `POST /orders` with JSON both ways.
    func placeOrder(_ order: Order) async throws -> Order {
        let converter = client.converter
        return try await client.send(
            input: order, forOperation: "placeOrder",
            serializer: { input in
                let path = try converter.renderedPath(template: "/orders", parameters: [])
                var request = HTTPRequest(soar_path: path, method: .post)
                request.headerFields[.accept] = "application/json"
                let body = try converter.setRequiredRequestBodyAsJSON(
                    input, headerFields: &request.headerFields, contentType: "application/json; charset=utf-8")
                return (request, body)
            },
            deserializer: { response, body in
                guard response.status.code == 201 else { throw Undocumented(status: response.status.code) }
                return try await converter.getResponseBodyAsJSON(Order.self, from: body, transforming: { $0 })
            })
    }

    /// `GET /customers/{customer}/orders?tag=…&text=…`.
    func findOrders(customer: String, tags: [String], text: String) async throws -> Answer {
        let converter = client.converter
        return try await client.send(
            input: customer, forOperation: "findOrders",
            serializer: { customer in
                let path = try converter.renderedPath(template: "/customers/{}/orders", parameters: [customer])
                var request = HTTPRequest(soar_path: path, method: .get)
                try converter.setQueryItemAsURI(in: &request, style: .form, explode: true, name: "tag", value: tags)
                try converter.setQueryItemAsURI(in: &request, style: .form, explode: true, name: "text", value: text)
                return (request, nil)
            },
            deserializer: { Answer(response: $0, body: $1) })
    }

    /// An operation with this path as it is.
    func call(
        _ operation: String = "operation", _ method: HTTPRequest.Method = .get, _ path: String = "/",
        fields: HTTPFields = [:], body: HTTPBody? = nil
    ) async throws -> Answer {
        try await client.send(
            input: path, forOperation: operation,
            serializer: { path in
                (HTTPRequest(soar_path: path, method: method, headerFields: fields), body)
            },
            deserializer: { Answer(response: $0, body: $1) })
    }
}
