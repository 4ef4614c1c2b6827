internal import Bowline
internal import BowlineTesting
internal import NIOCore

/// The transport and the services behind it. Records what the client sends.
///
/// The requests that reach a service go through a `StubTransport`, which applies the limits of the attempt. The judge
/// does not rely on these limits: each attempt is recorded before.
// Safety: used on the simulation's thread only.
final class PoliciesService: ServiceTransport, @unchecked Sendable {
    /// The field that carries the place of an attempt in ``arrivals`` to the stub's route.
    private static let placeField = "x-place"

    private let log: PoliciesLog
    private let plan: PoliciesPlan
    private(set) var arrivals: [PoliciesArrival] = []
    /// How many attempts of each call have arrived.
    private var numbers: [Int: Int] = [:]
    private let reachable = StubTransport()
    /// Connects are refused here.
    private let refusing = StubTransport()
    /// Connects fail after some time here.
    private let slow = StubTransport()

    private var time: VirtualTime { log.time }

    init(_ log: PoliciesLog, _ plan: PoliciesPlan) {
        self.log = log
        self.plan = plan
        for path in ["/c/{call}", "/c/{call}/{hop}"] {
            reachable.on(nil, path) { [weak self] call in
                guard let self else { throw CancellationError() }
                return try await answer(call)
            }
            refusing.on(nil, path, always: .fail(.connectionRefused, progress: .neverSent))
            slow.on(
                nil, path,
                always: .fail(.connectTimeout, progress: .neverSent)
                    .delayed(by: .milliseconds(300), on: log.time.clock))
        }
    }

    // MARK: The transport

    func send(_ request: ServiceRequest, context: RequestContext) async throws -> ServiceResponse {
        guard let place = arrived(request, context) else {
            throw ServiceError(.invalidRequest, "the request is none of the simulation")
        }
        var request = request
        if let name = HTTPField.Name(Self.placeField) { request.fields[name] = "\(place)" }
        do {
            let response = try await stub(of: place).send(request, context: context)
            left(place, "\(response.status.code)")
            arrivals[place].status = response.status.code
            arrivals[place].retryAfter = response.receivedFields[.retryAfter].flatMap { Int($0) }
            return response
        } catch {
            left(place, (error as? ServiceError).map { "\($0.code.rawValue) \($0.progress.rawValue)" } ?? "cancelled")
            throw error
        }
    }

    func beginDrain() {
        for stub in [reachable, refusing, slow] { stub.beginDrain() }
    }

    func close() async -> Int {
        for stub in [reachable, refusing, slow] { await stub.close() }
        return 0
    }

    /// The endpoints of the balancer that the call uses.
    private func endpoints(of call: Int) -> [ServiceEndpoint] {
        plan.calls[call].maker == .withoutPolicies ? [] : plan.endpoints?.all ?? []
    }

    /// Records an attempt. Returns its place in the list.
    private func arrived(_ request: ServiceRequest, _ context: RequestContext) -> Int? {
        guard let url = request.url, let (call, hop) = SimulationContent.call(ofTarget: url.path) else { return nil }
        let server = url.origin.host
        let isEndpoint = endpoints(of: call).contains { $0.url == PoliciesPlan.origin(of: server) }
        numbers[call, default: 0] += 1
        arrivals.append(
            PoliciesArrival(
                call: call, method: request.method, hop: hop, number: numbers[call, default: 0],
                attempt: context.attempt, isHedge: context.isHedge, server: server,
                named: isEndpoint ? plan.hosts[0] : server, sent: time.now,
                hasToken: request.fields.contains(.authorization)))
        let place = arrivals.count - 1
        log.add(.sent(place))
        time.note(
            "service: \(request.method) \(url.path) attempt \(context.attempt)\(context.isHedge ? " (hedge)" : "") at "
                + "\(server), arrival \(place)")
        return place
    }

    private func left(_ place: Int, _ how: String) {
        arrivals[place].left = time.now
        log.add(.left(place))
        time.note("service: arrival \(place) \(how)")
    }

    private func act(of place: Int) -> PoliciesAct {
        let arrival = arrivals[place]
        return plan.act(
            arrival.call, number: arrival.number, server: arrival.server,
            elapsed: MonotonicInstant(nanoseconds: 0).duration(to: arrival.sent))
    }

    private func stub(of place: Int) -> StubTransport {
        switch act(of: place).reaction {
        case .fails(.refusedConnect, _): refusing
        case .fails(.slowConnect, _): slow
        default: reachable
        }
    }

    // MARK: The services

    private func answer(_ call: StubbedCall) async throws -> StubAnswer {
        guard let name = HTTPField.Name(Self.placeField), let place = call.fields[name].flatMap({ Int($0) }),
            arrivals.indices.contains(place)
        else { return .respond(.badRequest) }
        let act = act(of: place)
        arrivals[place].isReceived = true
        arrivals[place].isExecuted = act.isExecuted
        if act.delay > .zero { try await time.sleep(for: act.delay) }
        switch act.reaction {
        case .answers: return response(.ok, place, act)
        case .rejects(let status, let retryAfter, _):
            log.count("rejects \(status)")
            return response(HTTPResponse.Status(code: status), place, act, retryAfter: retryAfter)
        case .redirects(let status, let target):
            return response(HTTPResponse.Status(code: status), place, act, location: location(place, target))
        case .truncates: return response(.ok, place, act)
        case .fails(let fault, _):
            log.count("fails: \(fault.rawValue)")
            return failure(fault)
        case .isSilent:
            log.count("is silent")
            try await time.sleep(for: SimulationRun.longest)
            throw CancellationError()
        }
    }

    private func failure(_ fault: PoliciesAct.Fault) -> StubAnswer {
        switch fault {
        case .refusedConnect: .fail(.connectionRefused, progress: .neverSent)
        case .slowConnect: .fail(.connectTimeout, progress: .neverSent)
        case .refusedStream: .fail(.connectionClosed, progress: .refused)
        case .closed: .fail(.connectionClosed, progress: .ambiguous)
        case .reset: .fail(.streamReset, progress: .ambiguous)
        }
    }

    /// Returns the `Location` of a redirect, and records where it leads.
    private func location(_ place: Int, _ target: PoliciesAct.Target) -> String {
        let arrival = arrivals[place]
        let path = SimulationContent.target(arrival.call, hop: arrival.hop + 1)
        let other = plan.hosts.last { $0 != arrival.named } ?? arrival.named
        // The endpoints of a list that changes may be none at that moment. Before the client has read the list, the URL of an
        // endpoint is a URL as any other.
        let isListed = log.hasEndpoints && plan.endpoints?.lists.isEmpty ?? false
        let endpoint = isListed ? endpoints(of: arrival.call).first?.url : nil
        arrivals[place].leadsTo =
            switch target {
            case .relative, .sameHost: arrival.named
            case .otherHost: other
            case .endpoint: endpoint == nil ? arrival.named : plan.hosts[0]
            }
        return switch target {
        case .relative: path
        case .sameHost: PoliciesPlan.origin(of: arrival.named) + path
        case .otherHost: PoliciesPlan.origin(of: other) + path
        case .endpoint: (endpoint ?? PoliciesPlan.origin(of: arrival.named)) + path
        }
    }

    private func response(
        _ status: HTTPResponse.Status, _ place: Int, _ act: PoliciesAct, retryAfter: Int? = nil, location: String? = nil
    ) -> StubAnswer {
        var fields: HTTPFields = [:]
        if let name = HTTPField.Name(SimulationContent.numberField) { fields[name] = "\(arrivals[place].call)" }
        if let retryAfter { fields[.retryAfter] = "\(retryAfter)" }
        if let location { fields[.location] = location }
        if let quota = act.quota, let name = HTTPField.Name("RateLimit") {
            fields[name] = "\"default\";r=\(quota.remaining);t=\(quota.window)"
        }
        let fails = act.reaction == .truncates
        guard fails || act.bodyDelay != nil else { return .respond(status, fields: fields, body: "answer") }
        let body = ResponseBody(PoliciesBody(time: time, delay: act.bodyDelay ?? .zero, fails: fails))
        return .respond(ServiceResponse(status: status, fields: fields, body: body))
    }
}

extension PoliciesAct {
    /// Whether the service executes the request.
    var isExecuted: Bool {
        switch reaction {
        case .answers, .truncates: true
        case .redirects: false
        case .rejects(_, _, let isExecuted), .fails(_, let isExecuted), .isSilent(let isExecuted): isExecuted
        }
    }
}

/// The body of an answer that comes after its head, in two pieces. It may fail instead of the second piece.
private struct PoliciesBody: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    let time: VirtualTime
    let delay: Duration
    let fails: Bool

    struct AsyncIterator: AsyncIteratorProtocol {
        let body: PoliciesBody
        var pieces = 0

        mutating func next() async throws -> ByteBuffer? {
            guard pieces < 2 else { return nil }
            if body.delay > .zero { try await body.time.sleep(for: body.delay) }
            pieces += 1
            if body.fails, pieces == 2 {
                throw ServiceError(.incompleteBody, "the body ends early", progress: .responseStarted)
            }
            return ByteBuffer(string: "piece")
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(body: self) }
}
