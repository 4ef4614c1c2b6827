import BowlineCore
import BowlineTesting

@testable import BowlineCall

/// A random walk of a balancer's machine beside a small model. Stops at the first step that violates a rule.
struct BalancerWalk {
    /// What the model knows about an endpoint.
    private struct Entry {
        let place: BalancedEndpoint
        var weight: Int
        var zone: String?
        var state = EndpointRecord.State.healthy
        var era = 0
        var failuresInRow = 0
        var failures = 0
        var until = MonotonicInstant(nanoseconds: 0)
        var pending = 0
    }

    private struct Attempt {
        let pass: BalancerPass
        let era: Int
    }

    private var random: SeededRandom
    private var options = BalancingOptions()
    private var machine = BalancerStateMachine()
    private var model: [UInt64: Entry] = [:]
    private var attempts: [Attempt] = []
    private var now = MonotonicInstant(nanoseconds: 0)
    /// How likely an attempt fails, by the endpoint's name.
    private var badness: [Double] = []
    private(set) var violation: String?
    /// How often each kind of step was made.
    private(set) var seen: [String: Int] = [:]

    private static let names = (0..<8).map { "e\($0)" }

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        options.consecutiveFailures = random.next(in: 1..<6)
        options.ejection = .milliseconds(random.next(in: 1..<5000))
        options.maximumEjection = options.ejection * random.next(in: 1..<80)
        options.maximumEjected = [0, 0.3, 0.5, 0.5, 0.75, 1][random.next(in: 0..<6)]
        options.slowStart = .milliseconds(random.next(in: 0..<10_000))
        options.zone = random.nextBool() ? "a" : nil
        badness = Self.names.map { _ in random.nextBool(probability: 0.3) ? 0.95 : 0.1 }
    }

    /// Makes steps, then ends all attempts.
    mutating func run(steps: Int) {
        replace()
        for _ in 0..<steps {
            guard violation == nil else { return }
            step()
            checkFacts()
        }
        while violation == nil, !attempts.isEmpty { end(attempts.count - 1, .ignored) }
        checkFacts()
        if machine.endpoints.contains(where: { $0.pending != 0 }) { report("an attempt is still in flight") }
    }

    private mutating func step() {
        switch random.next(in: 0..<100) {
        case 0..<45: choose()
        case 45..<50: chooseByNumber()
        case 50..<90:
            guard !attempts.isEmpty else { return choose() }
            end(random.next(in: 0..<attempts.count), nil)
        case 90..<97:
            let most = random.nextBool(probability: 0.1) ? 120_000 : 800
            now = now.advanced(by: .milliseconds(random.next(in: 0..<most)))
        case 97..<99:
            badness[random.next(in: 0..<badness.count)] = random.nextDouble()
        default: replace()
        }
    }

    // MARK: Inputs

    private mutating func replace() {
        count("replaced")
        var listings: [EndpointListing] = []
        for name in Self.names where random.nextBool(probability: 0.7) {
            listings.append(
                listing(
                    name, weight: random.nextBool(probability: 0.1) ? 0 : random.next(in: 1..<5),
                    zone: [nil, "a", "b"][random.next(in: 0..<3)]))
        }
        let changes = machine.endpointsReplaced(by: listings, at: now, options)
        passTime()
        let old = Dictionary(uniqueKeysWithValues: model.map { ($0.value.place, ($0.key, $0.value)) })
        model = [:]
        for endpoint in machine.endpoints {
            var entry = Entry(place: endpoint.place, weight: endpoint.weight, zone: endpoint.zone)
            if let (number, known) = old[endpoint.place] {
                if number != endpoint.number { report("an endpoint that stayed has another number") }
                entry = known
                entry.weight = endpoint.weight
                entry.zone = endpoint.zone
            }
            model[endpoint.number] = entry
        }
        // Of those that end at the same time, the first of the list.
        let listed = machine.endpoints.map(\.number)
        while ejected.count > mostEjected,
            let first = listed.filter(ejected.contains).min(by: { until($0) < until($1) })
        {
            restore(first)
        }
        if machine.endpoints.map(\.place) != listings.map(\.place) { report("the list is not the new list") }
        check(changes)
    }

    private mutating func choose() {
        var avoided: [UInt64] = []
        for endpoint in machine.endpoints where random.nextBool(probability: 0.15) { avoided.append(endpoint.number) }
        if random.nextBool(probability: 0.05) { avoided = machine.endpoints.map(\.number) }
        let choice = machine.choose(at: now, random: random.nextDouble(), avoiding: avoided, options)
        passTime()
        check(choice.changes)
        let eligible = model.filter { $0.value.weight > 0 && (isPanic || $0.value.state != .ejected) }
        guard let pass = choice.pass else {
            if !eligible.isEmpty { report("no endpoint was chosen, but there are some") }
            count("nothing to choose")
            return
        }
        guard eligible[pass.number] != nil else {
            return report("an endpoint was chosen that gets no attempts")
        }
        let others = eligible.filter { !avoided.contains($0.key) }
        if avoided.contains(pass.number) {
            count("avoided in vain")
            if !others.isEmpty { report("an endpoint was chosen that is to be avoided, and there is another") }
        } else if let zone = options.zone, prefersZone, eligible[pass.number]?.zone != zone {
            count("other zone")
            if avoided.isEmpty || others.contains(where: { $0.value.zone == zone }) {
                report("an endpoint of another zone was chosen without need")
            }
        }
        begin(pass)
    }

    private mutating func chooseByNumber() {
        guard let endpoint = machine.endpoints.randomElement(using: &random), let entry = model[endpoint.number] else {
            return
        }
        let pass = machine.choose(endpoint.number, at: now)
        let isEligible = entry.weight > 0 && (isPanic || entry.state != .ejected)
        if (pass != nil) != isEligible { report("an endpoint was given an attempt, or not, against the rules") }
        if let pass { begin(pass) }
    }

    private mutating func begin(_ pass: BalancerPass) {
        count(model[pass.number]?.state == .ejected ? "ejected in panic" : "chosen")
        model[pass.number]?.pending += 1
        attempts.append(Attempt(pass: pass, era: model[pass.number]?.era ?? 0))
    }

    private mutating func end(_ index: Int, _ given: BalancerResult?) {
        let attempt = attempts.remove(at: index)
        let latency = Duration.milliseconds(random.next(in: 0..<200))
        var result = given ?? .success(after: latency)
        if given == nil {
            let name = model[attempt.pass.number].map { DrivenBalancer.index(of: $0.place) } ?? 0
            if random.nextBool(probability: badness[name]) { result = .failure(after: latency) }
            if random.nextBool(probability: 0.05) { result = .unfinished(after: latency) }
            if random.nextBool(probability: 0.05) { result = .ignored }
        }
        let changes = machine.attemptEnded(attempt.pass, result, at: now, options)
        passTime()
        apply(result, attempt, changes)
        check(changes)
    }

    // MARK: Model

    private mutating func apply(_ result: BalancerResult, _ attempt: Attempt, _ changes: [EndpointChange]) {
        let number = attempt.pass.number
        guard var entry = model[number] else { return count("late result") }
        entry.pending -= 1
        defer { model[number] = entry }
        guard entry.era == attempt.era else { return count("late result") }
        switch result {
        case .ignored, .unfinished: break
        case .success:
            if entry.state == .ejected { entry.era += 1 }
            entry.state = .healthy
            entry.failuresInRow = 0
        case .failure:
            guard entry.state != .ejected else { return }
            entry.failuresInRow += 1
            entry.failures += 1
            let hasRoom = ejected.count < mostEjected
            let isNecessary =
                entry.state == .onTrial || entry.state == .failing
                || entry.failuresInRow >= options.consecutiveFailures
            let length = changes.compactMap { change -> Duration? in
                if case .ejected(entry.place, let length) = change { length } else { nil }
            }.first
            if let length {
                count(isNecessary ? "ejected" : "ejected by rate")
                // Four failures of twenty attempts are the least that the rule of rates ejects for.
                if !isNecessary, entry.failures < 4 { report("an endpoint was ejected without a reason") }
                if !hasRoom { report("an endpoint was ejected although too many are") }
                if length < options.ejection || length > options.maximumEjection {
                    report("an ejection lasts \(length)")
                }
                entry.state = .ejected
                entry.era += 1
                entry.until = now.advanced(by: length)
            } else if isNecessary {
                if hasRoom { report("an endpoint was not ejected") }
                entry.state = .failing
            } else if machine.endpoints.first(where: { $0.number == number })?.state == .failing {
                if hasRoom { report("an endpoint was not ejected") }
                entry.state = .failing
            }
        }
    }

    /// Ends the ejections whose time has passed.
    private mutating func passTime() {
        for (number, entry) in model where entry.state == .ejected && entry.until <= now { restore(number) }
    }

    private mutating func restore(_ number: UInt64) {
        model[number]?.state = .onTrial
        model[number]?.era += 1
        model[number]?.failuresInRow = 0
        model[number]?.failures = 0
    }

    private func until(_ number: UInt64) -> MonotonicInstant { model[number]?.until ?? .distantFuture }

    private var ejected: [UInt64] { model.filter { $0.value.state == .ejected && $0.value.weight > 0 }.map(\.key) }

    private var mostEjected: Int {
        Int((options.maximumEjected * Double(model.count { $0.value.weight > 0 }) + 1e-9).rounded(.down))
    }

    private var isPanic: Bool {
        let failing = model.count { $0.value.state == .failing && $0.value.weight > 0 }
        let usable = model.count { $0.value.state != .ejected && $0.value.weight > 0 }
        return !ejected.isEmpty && (ejected.count + failing > mostEjected || usable == 0)
    }

    private var prefersZone: Bool {
        let own = model.values.filter { $0.zone == options.zone && $0.weight > 0 }
        return !own.isEmpty && own.count { $0.state != .ejected } * 2 >= own.count
    }

    // MARK: Rules

    private mutating func checkFacts() {
        guard violation == nil else { return }
        if ejected.count > mostEjected { report("\(ejected.count) endpoints are ejected, of at most \(mostEjected)") }
        if machine.isPanicking != isPanic { report("panic is \(machine.isPanicking), not \(isPanic)") }
        for endpoint in machine.endpoints {
            guard let entry = model[endpoint.number] else { return report("an endpoint is not in the model") }
            if endpoint.pending != entry.pending { report("\(endpoint.pending) in flight, not \(entry.pending)") }
            if endpoint.state != entry.state { report("\(endpoint.state), not \(entry.state)") }
        }
    }

    private mutating func check(_ changes: [EndpointChange]) {
        for change in changes {
            if case .panicChanged(let isNow) = change, isNow != machine.isPanicking {
                report("the change of panic is not the last state")
            }
        }
    }

    private mutating func count(_ kind: String) { seen[kind, default: 0] += 1 }

    private mutating func report(_ text: String) {
        if violation == nil { violation = "\(text), at \(now.nanoseconds) ns" }
    }
}

extension DrivenBalancer {
    /// The number in the name `e3`.
    static func index(of place: BalancedEndpoint) -> Int {
        Int((place.url?.origin.host ?? "").dropFirst().prefix { $0 != "." }) ?? 0
    }
}
