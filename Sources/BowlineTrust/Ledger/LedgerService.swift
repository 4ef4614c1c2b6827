internal import Bowline
internal import BowlineCore
internal import BowlineTesting
internal import NIOCore

/// The service: handles requests as planned, and records each request that it executes.
///
/// It executes a request when it has received all of it and the plan says so. It records the execution before it sends
/// the first byte of the answer.
final class LedgerService: Sendable {
    private struct State: Sendable {
        var arrivals: [UInt64: Int] = [:]
        var executions: [LedgerExecution] = []
        /// The idempotency keys of requests that were executed.
        var keys: Set<String> = []
    }

    private let plans: [UInt64: LedgerRequestPlan]
    private let wire: LedgerProtocol
    private let requestsPerConnection: Int?
    private let state = Guarded(State())

    init(_ plan: LedgerPlan) {
        plans = Dictionary(plan.requests.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        wire = plan.wire
        requestsPerConnection = plan.requestsPerConnection
    }

    /// All executions, in their order.
    var executions: [LedgerExecution] { state.withLock { $0.executions } }

    /// The options of a server for the plan.
    static func options(_ plan: LedgerPlan) -> LoopbackServer.Options {
        var options = LoopbackServer.Options()
        if plan.wire.isEncrypted { options.tls = LoopbackTLS() }
        if plan.wire == .http2 {
            var http2 = LoopbackHTTP2()
            http2.maximumStreams = plan.serverStreams
            http2.initialWindow = plan.serverWindow
            http2.requestsPerConnection = plan.requestsPerConnection
            http2.maximumHeaderListSize = 131_072
            options.http2 = http2
        }
        options.receiveBufferSize = plan.serverBuffers
        options.sendBufferSize = plan.serverBuffers
        return options
    }

    /// Lets a server answer through this service.
    func serve(on server: LoopbackServer) {
        server.respondEarly { [self] head in early(head) }
        server.respond { [self] request in
            // The request is complete here. `act` records the execution before the server sends anything.
            act(on: request)
        }
    }

    /// Answers before the body arrives, if the plan says so.
    private func early(_ head: RecordedRequest) -> ScriptedReply? {
        let id = Self.id(of: head)
        guard let plan = plans[id ?? 0] else { return nil }
        let act = state.withLock { state -> LedgerAct? in
            let act = plan.act(onArrival: state.arrivals[plan.id] ?? 0)
            guard act.isEarly else { return nil }
            state.arrivals[plan.id, default: 0] += 1
            return act
        }
        switch act {
        case .refuseEarly: return .resetStream(code: 7)
        case .rejectEarly(let closes):
            let reply = ScriptedReply.reply(rejection(413, plan, closes ? [.connection: "close"] : [:]))
            return wire == .http2 && closes ? reply.then(.resetStream(code: 0)) : reply
        default: return nil
        }
    }

    private func act(on request: RecordedRequest) -> ScriptedReply {
        let id = Self.id(of: request)
        guard let id, let plan = plans[id] else {
            // The judge reports this execution, because it belongs to no request of the run.
            state.withLock { $0.executions.append(Self.execution(request, id, isReplay: false)) }
            return .reply(404)
        }
        let act = state.withLock { state -> LedgerAct in
            let arrival = state.arrivals[id] ?? 0
            state.arrivals[id] = arrival + 1
            let act = plan.act(onArrival: arrival)
            guard act.executes else { return act }
            let key = HTTPField.Name("Idempotency-Key").flatMap { request.fields[$0] }
            let isReplay = key.map { !state.keys.insert($0).inserted } ?? false
            state.executions.append(Self.execution(request, id, isReplay: isReplay))
            return act
        }
        return reply(act, plan, isLast: isLast(request))
    }

    /// Whether an HTTP/1.1 connection ends with this request. Over HTTP/2 the server sends GOAWAY by itself.
    private func isLast(_ request: RecordedRequest) -> Bool {
        guard wire != .http2, let requestsPerConnection else { return false }
        return request.number >= requestsPerConnection
    }

    private static func id(of request: RecordedRequest) -> UInt64? {
        HTTPField.Name(LedgerContent.idField).flatMap { request.fields[$0] }.flatMap { LedgerContent.id($0) }
    }

    private static func execution(_ request: RecordedRequest, _ id: UInt64?, isReplay: Bool) -> LedgerExecution {
        LedgerExecution(
            id: id, method: request.method, target: request.target,
            fields: LedgerContent.comparable(request.fields),
            trailers: LedgerContent.comparable(request.trailers ?? [:]), body: BodyDigest(request.body),
            isReplay: isReplay, authority: authority(of: request))
    }

    /// The host that a request names: in its `Host` field, over HTTP/2 in `:authority`.
    private static func authority(of request: RecordedRequest) -> String? {
        guard request.stream != nil else { return HTTPField.Name("Host").flatMap { request.fields[$0] } }
        let mark = ":authority: "
        let line = request.head.split(separator: "\r\n").first { $0.hasPrefix(mark) }
        return line.map { String($0.dropFirst(mark.count)) }
    }

    private func reply(_ act: LedgerAct, _ plan: LedgerRequestPlan, isLast: Bool) -> ScriptedReply {
        var response = answer(to: plan)
        if isLast { response.fields[.connection] = "close" }
        switch act {
        case .answer: return .reply(response)
        case .answerInChunks(let size): response.framing = .chunks(of: size)
        case .answerUntilClose: response.framing = .untilClose
        case .answerSayingClose: response.fields[.connection] = "close"
        case .answerThenClose(let milliseconds):
            return .reply(response).thenClose(after: .milliseconds(milliseconds))
        case .answerThenReset: return .reply(response).thenReset()
        case .answerSlowly(let size): return .trickle(response, size: size, every: .milliseconds(1))
        case .answerWithLargeFields(let bytes): Self.enlarge(&response.fields, to: bytes)
        case .answerAfterHint: return .sequence(.reply(103, fields: [.vary: "*"]), .reply(response))
        case .answerLate(let milliseconds): return .reply(response).delayed(by: .milliseconds(milliseconds))
        case .cut(let thousandths):
            // An answer to HEAD has no body, so the cut could come after its end.
            guard plan.method != .head else { return .close }
            return .cut(after: response.bytes().readableBytes * thousandths / 1000, of: response)
        case .actThenClose: return .close
        case .actThenReset: return .reset
        case .actThenResetStream(let code): return .resetStream(code: code)
        case .actThenStall: return .stall
        case .unavailable(let retryAfter):
            return .reply(rejection(503, plan, [.retryAfter: "\(retryAfter)"]))
        case .refuse, .refuseEarly:
            return wire == .http2 ? .resetStream(code: 7) : .reply(rejection(503, plan, [:]))
        case .rejectEarly: return .reply(rejection(413, plan, [:]))
        }
        return .reply(response)
    }

    private func answer(to plan: LedgerRequestPlan) -> ScriptedResponse {
        let body = LedgerContent.body(of: plan.id, .answer, count: plan.answerSize)
        return ScriptedResponse(200, fields: Self.fields(of: plan.id, executed: true), body: body)
    }

    private func rejection(_ status: Int, _ plan: LedgerRequestPlan, _ fields: HTTPFields) -> ScriptedResponse {
        var all = Self.fields(of: plan.id, executed: false)
        all.append(contentsOf: fields)
        return ScriptedResponse(status, fields: all, body: LedgerContent.rejection(of: plan.id))
    }

    private static func fields(of id: UInt64, executed: Bool) -> HTTPFields {
        var fields = HTTPFields()
        for (name, value) in [
            (LedgerContent.idField, LedgerContent.text(of: id)), (LedgerContent.executedField, executed ? "yes" : "no"),
        ] {
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        return fields
    }

    /// Adds fields of 1,000 bytes each, name included, up to `bytes` in all.
    private static func enlarge(_ fields: inout HTTPFields, to bytes: Int) {
        let count = bytes / 1000
        let all = [LedgerField(LedgerContent.largeCountField, "\(count)")] + (0..<count).map(LedgerContent.largeField)
        for field in all {
            guard let name = HTTPField.Name(field.name) else { return }
            fields.append(HTTPField(name: name, value: field.value))
        }
    }
}
