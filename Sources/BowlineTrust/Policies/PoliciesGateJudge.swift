internal import Bowline

/// Compares the attempts that the service saw with what the gates promise.
///
/// Where an attempt may wait between its admission and the transport (``PoliciesPlan/sendsAtOnce``), only the limit of
/// concurrency is judged.
struct PoliciesGateJudge: Sendable {
    /// A scope as a text: the origin, and the name if there is one.
    private typealias Scope = String

    private(set) var violations: [String] = []
    private let record: PoliciesRecord
    private var plan: PoliciesPlan { record.plan }

    init(_ record: PoliciesRecord) {
        self.record = record
        judgeConcurrency()
        guard plan.sendsAtOnce else { return }
        judgeRate()
        judgePauses()
        judgeBreakers()
    }

    /// The scope of an attempt. nil: the attempt passes no gate.
    private func scope(_ place: Int) -> Scope? {
        let arrival = record.arrivals[place]
        let call = plan.calls[arrival.call]
        guard call.maker != .withoutPolicies else { return nil }
        return PoliciesPlan.scope(arrival.named, call.scope)
    }

    private mutating func judgeConcurrency() {
        guard case .fixed(let limit)? = plan.resilience.concurrency?.limit else { return }
        var inFlight: [Scope: Int] = [:]
        for moment in record.steps {
            switch moment.step {
            case .sent(let place):
                guard let scope = scope(place) else { continue }
                let count = inFlight[scope, default: 0] + 1
                inFlight[scope] = count
                guard count > limit else { continue }
                violations.append("\(count) attempts are in flight in \(scope), and the limit is \(limit)")
            case .left(let place): if let scope = scope(place) { inFlight[scope, default: 0] -= 1 }
            default: break
            }
        }
    }

    /// The bucket's promise: in each span of time at most the burst, and what the rate gives in this time.
    ///
    /// An attempt that waits for the limit of concurrency keeps its token, and a store may have tokens of its own.
    private mutating func judgeRate() {
        guard let rate = plan.resilience.rate, plan.store == nil, plan.resilience.concurrency == nil,
            plan.hands.isEmpty
        else { return }
        var sent: [Scope: [MonotonicInstant]] = [:]
        for (place, arrival) in record.arrivals.enumerated() {
            guard let scope = scope(place) else { continue }
            for (index, first) in sent[scope, default: []].enumerated() {
                let span = first.duration(to: arrival.sent) / .seconds(1)
                let count = sent[scope, default: []].count - index + 1
                guard Double(count) > Double(rate.burst) + rate.perSecond * span + 0.001 else { continue }
                violations.append("\(count) attempts went to \(scope) within \(first.duration(to: arrival.sent))")
                break
            }
            sent[scope, default: []].append(arrival.sent)
        }
    }

    /// No attempt goes while the service has asked for a pause.
    private mutating func judgePauses() {
        guard plan.resilience.rate != nil || plan.resilience.sharesRetryAfter, plan.hands.isEmpty else { return }
        var paused: [Scope: (from: MonotonicInstant, to: MonotonicInstant)] = [:]
        for moment in record.steps {
            switch moment.step {
            case .sent(let place):
                guard let scope = scope(place), let pause = paused[scope], pause.from < moment.at, moment.at < pause.to
                else { continue }
                let early = moment.at.duration(to: pause.to)
                violations.append("an attempt went to \(scope), \(early) before a pause's end")
            case .left(let place):
                let arrival = record.arrivals[place]
                guard let scope = scope(place), let seconds = arrival.retryAfter,
                    arrival.status == 429 || arrival.status == 503
                else { continue }
                let end = moment.at.advanced(by: min(.seconds(seconds), plan.retry.maximumRetryAfter))
                if end > paused[scope]?.to ?? moment.at { paused[scope] = (paused[scope]?.from ?? moment.at, end) }
            default: break
            }
        }
    }

    /// No attempt goes while a breaker is open, and only so many probes while it is half open.
    ///
    /// Probes that take longer than the breaker was open lose their permits, and others may go. So within the time that
    /// it was open there are at most twice as many.
    private mutating func judgeBreakers() {
        guard let options = plan.resilience.breaker else { return }
        var states: [Scope: (state: BreakerState, since: MonotonicInstant)] = [:]
        /// The probes in flight.
        var probes: [Scope: Set<Int>] = [:]
        for moment in record.steps {
            switch moment.step {
            case .breakerChanged(let scope, let state, _):
                states[scope] = (state, moment.at)
                probes[scope] = nil
            case .sent(let place):
                guard let scope = scope(place), let (state, since) = states[scope] else { continue }
                if state == .open || state == .isolated, since < moment.at {
                    violations.append("an attempt went to \(scope), whose breaker is \(state.rawValue)")
                }
                guard state == .halfOpen else { continue }
                probes[scope, default: []].insert(place)
                let young = probes[scope, default: []].count {
                    record.arrivals[$0].sent.duration(to: moment.at) < options.open
                }
                if young > 2 * options.probes { violations.append("\(young) probes are in flight to \(scope)") }
            case .left(let place): if let scope = scope(place) { probes[scope]?.remove(place) }
            default: break
            }
        }
    }
}

extension PoliciesPlan {
    /// The name of a scope, as the client writes it.
    static func scope(_ host: String, _ name: String?) -> String {
        "\(origin(of: host)):80" + (name.map { "#\($0)" } ?? "")
    }
}
