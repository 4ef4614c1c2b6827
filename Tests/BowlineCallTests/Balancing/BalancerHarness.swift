import BowlineCore
import BowlineTesting
import Foundation

@testable import BowlineCall

/// A balancer's machine, and the transitions that it has made.
final class DrivenBalancer {
    /// One transition of an endpoint, written like a row of the machine's table.
    struct Transition: Hashable, CustomStringConvertible {
        let state: String
        let input: String
        let next: String

        var description: String { "\(state) | \(input) | \(next)" }
    }

    private(set) var machine = BalancerStateMachine()
    private(set) var transitions: Set<Transition> = []
    /// What the machine has reported, in order.
    private(set) var changes: [String] = []
    var options = BalancingOptions()
    var now = MonotonicInstant(nanoseconds: 1_000_000_000)
    private var random: SeededRandom

    init(seed: UInt64 = 1, _ configure: (inout BalancingOptions) -> Void = { _ in }) {
        random = SeededRandom(seed: seed)
        configure(&options)
    }

    func pass(_ duration: Duration) { now = now.advanced(by: duration) }

    func replace(_ listings: [EndpointListing]) {
        let before = states
        note(machine.endpointsReplaced(by: listings, at: now, options))
        let after = states
        for (number, state) in before {
            let next = after[number]?.rawValue
            if let next, state == .ejected, next != state.rawValue {
                record(state.rawValue, "endpointsReplaced", next)
            }
            if next == nil { record(state.rawValue, "endpointsReplaced", "none") }
        }
        for (number, state) in after where before[number] == nil {
            record("none", "endpointsReplaced", state.rawValue)
        }
    }

    func replace(_ names: String...) {
        replace(names.map { listing($0) })
    }

    /// Chooses an endpoint for an attempt.
    func choose(avoiding avoided: [UInt64] = []) -> BalancerPass? {
        let before = states
        let choice = machine.choose(at: now, random: random.nextDouble(), avoiding: avoided, options)
        note(choice.changes)
        notePassedTime(since: before)
        return choice.pass
    }

    /// Chooses an endpoint; returns its name.
    func chooseName(avoiding avoided: [UInt64] = []) -> String? {
        choose(avoiding: avoided).map { name(of: $0.number) }
    }

    func choose(_ name: String) -> BalancerPass? {
        machine.choose(number(of: name), at: now)
    }

    func end(_ pass: BalancerPass, _ result: BalancerResult) {
        let before = states
        note(machine.attemptEnded(pass, result, at: now, options))
        notePassedTime(since: before)
        guard let state = before[pass.number], let next = states[pass.number] else { return }
        // The end of the ejection was noted. Then the result is late.
        if state == .ejected, next == .onTrial { return }
        switch result {
        case .success where next == .healthy: record(state.rawValue, "succeeded", next.rawValue)
        case .failure: record(state.rawValue, "failed", next.rawValue)
        default: break
        }
    }

    /// Sends an attempt to this endpoint, which ends at once. Returns false if the endpoint gets no attempts.
    @discardableResult
    func attempt(_ name: String, _ result: BalancerResult) -> Bool {
        guard let pass = choose(name) else { return false }
        end(pass, result)
        return true
    }

    func fail(_ name: String, times: Int = 1) {
        for _ in 0..<times { attempt(name, .failure(after: .milliseconds(10))) }
    }

    func succeed(_ name: String, times: Int = 1, after latency: Duration = .milliseconds(10)) {
        for _ in 0..<times { attempt(name, .success(after: latency)) }
    }

    /// Ends the ejections whose time has passed, by an attempt that says nothing.
    func settle() {
        if let pass = choose() { end(pass, .ignored) }
    }

    // MARK: Facts

    private var states: [UInt64: EndpointRecord.State] {
        Dictionary(uniqueKeysWithValues: machine.endpoints.map { ($0.number, $0.state) })
    }

    func record(of name: String) -> EndpointRecord? { machine.endpoints.first { $0.place == place(name) } }
    func state(_ name: String) -> EndpointRecord.State? { record(of: name)?.state }
    func number(of name: String) -> UInt64 { record(of: name)?.number ?? 0 }
    func name(of number: UInt64) -> String {
        guard let url = machine.endpoints.first(where: { $0.number == number })?.place.url else { return "?" }
        return String(url.origin.host.prefix { $0 != "." })
    }

    private func note(_ found: [EndpointChange]) {
        for change in found {
            switch change {
            case .ejected(let place, let length): changes.append("ejected \(hostName(place)) \(length.logText)")
            case .restored(let place): changes.append("restored \(hostName(place))")
            case .panicChanged(let isPanic): changes.append("panic \(isPanic)")
            default: changes.append("?")
            }
        }
    }

    private func hostName(_ place: BalancedEndpoint) -> String {
        String((place.url?.origin.host ?? "?").prefix { $0 != "." })
    }

    /// How ``changes`` write a length.
    static func text(seconds: Int) -> String { Duration.seconds(seconds).logText }

    private func notePassedTime(since before: [UInt64: EndpointRecord.State]) {
        for (number, state) in states where before[number] == .ejected && state == .onTrial {
            record("ejected", "timePassed", state.rawValue)
        }
    }

    private func record(_ state: String, _ input: String, _ next: String) {
        transitions.insert(Transition(state: state, input: input, next: next))
    }
}

/// The base URL of the endpoint with this name.
func place(_ name: String) -> BalancedEndpoint {
    // The text is a URL for every name in these tests.
    guard let url = try? ServiceURL("http://\(name).example/") else { preconditionFailure("\(name) is no host") }
    return .url(url)
}

func listing(_ name: String, weight: Int = 1, zone: String? = nil) -> EndpointListing {
    EndpointListing(place: place(name), weight: weight, zone: zone)
}

extension DrivenBalancer.Transition {
    /// The rows of the table in the machine's documentation. A cell with several states stands for as many rows.
    static func documented() throws -> Set<DrivenBalancer.Transition> {
        var root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let file = root.appendingPathComponent("Sources/BowlineCall/Balancing/BalancerStateMachine.swift")
        let source = try String(contentsOf: file, encoding: .utf8)
        let rows = source.split(separator: "\n").filter { $0.hasPrefix("/// | ") }.dropFirst()
        var found: Set<DrivenBalancer.Transition> = []
        for row in rows {
            let cells = row.dropFirst("/// |".count).split(separator: "|").map {
                $0.trimmingCharacters(in: .whitespaces).components(separatedBy: ", ")
            }
            guard cells.count == 3 else { continue }
            for state in cells[0] {
                for next in cells[2] { found.insert(Self(state: state, input: cells[1][0], next: next)) }
            }
        }
        return found
    }
}
