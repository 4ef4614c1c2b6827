import Bowline
import BowlineTesting
import Foundation
import Synchronization

/// The service. It takes orders, and treats the next one as its mood says.
final class OrderService: Sendable {
    /// How the service treats the next order.
    enum Mood: Sendable {
        case normal
        /// Answers 503 once, without taking the order.
        case busy
        /// Takes the order but sends no answer, once.
        case stalling
        /// Takes the order, answers, then closes the idle connection.
        case droppingIdle
        /// Closes the connection without an answer, if it has served a request before.
        case droppingReused
        /// Answers every order after a delay.
        case slow
    }

    private struct State {
        var mood = Mood.normal
        /// The number of the order with each key.
        var orders: [String: Int] = [:]
        var executions = 0
        var requests = 0
    }

    private let state = Mutex(State())

    /// The number of orders taken.
    var executions: Int { state.withLock { $0.executions } }
    /// The number of different keys.
    var keys: Int { state.withLock { $0.orders.count } }
    /// The number of requests to place an order, including repeated ones.
    var requests: Int { state.withLock { $0.requests } }

    func feel(_ mood: Mood) { state.withLock { $0.mood = mood } }

    func serve(_ server: LoopbackServer) {
        let json: HTTPFields = [.contentType: "application/json"]
        server.route(.get, "/catalogue") { _ in
            var fields = json
            fields[.contentEncoding] = "gzip"
            return .reply(200, fields: fields, body: ByteBuffer(bytes: Data(base64Encoded: Self.catalogue) ?? Data()))
        }
        server.route(.get, "/orders/latest", always: .reply(302, fields: [.location: "/orders/1"]))
        server.route(.get, "/orders/1", always: .reply(200, fields: json, body: #"{"id":1}"#))
        server.route(.post, "/orders") { self.place($0) }
    }

    private func place(_ request: RecordedRequest) -> ScriptedReply {
        state.withLock { state in
            state.requests += 1
            guard let key = request[.orderKey] else { return .reply(400) }
            let mood = state.mood
            if mood != .slow { state.mood = .normal }
            if mood == .busy { return .reply(503, fields: [.retryAfter: "1"]) }
            if mood == .droppingReused, request.number > 1 { return .close }
            if state.orders[key] == nil {
                state.executions += 1
                state.orders[key] = state.executions
            }
            let json: HTTPFields = [.contentType: "application/json"]
            let reply = ScriptedReply.reply(201, fields: json, body: #"{"id":\#(state.orders[key] ?? 0)}"#)
            switch mood {
            case .stalling: return .stall
            case .droppingIdle: return reply.thenClose(after: .milliseconds(5))
            case .slow: return reply.delayed(by: .milliseconds(200))
            case .normal, .busy, .droppingReused: return reply
            }
        }
    }

    /// Three articles as JSON, compressed with gzip.
    private static let catalogue =
        "H4sIAAAAAAACA4uuVsosSc1VslIqyi9IVdJRKijKTE5VsjI0qtWBSxVnJCZn5yDJmiNJJuYlZ+QXIeQsDWpjAQ1uBeNWAAAA"
}

extension HTTPField.Name {
    static var orderKey: HTTPField.Name { HTTPField.Name("Idempotency-Key")! }
}
