import BowlineCore
import BowlineTesting
import Foundation
import Testing

@testable import BowlineTransport

/// Compares the table in the machine's documentation with what the machine does.
@Suite("The transition table of the connect")
struct ConnectTransitionTests {
    struct Transition: Hashable, CustomStringConvertible {
        let state: String
        let input: String
        let next: String

        var description: String { "\(state), \(input) → \(next)" }
    }

    @Test("The table has exactly the transitions that random inputs cause")
    func table() throws {
        let documented = try Self.documented()
        var random = SeededRandom.fromEnvironment()
        var seen: Set<Transition> = []
        for _ in 0..<40_000 { Self.walk(&random, &seen) }
        #expect(seen.subtracting(documented) == [])
        #expect(documented.subtracting(seen) == [])
    }

    /// The rows of the tables in the machine's documentation.
    private static func documented() throws -> Set<Transition> {
        var root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let path = "Sources/BowlineTransport/Dial/Connect/ConnectStateMachine.swift"
        let source = try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
        var inputs: [String] = []
        var found: Set<Transition> = []
        for row in source.split(separator: "\n") where row.hasPrefix("/// | ") {
            let cells = row.dropFirst("/// |".count).split(separator: "|").map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            if cells[0] == "state" {
                inputs = cells.map { $0.trimmingCharacters(in: CharacterSet(charactersIn: "`")) }
                continue
            }
            for (input, cell) in zip(inputs, cells).dropFirst() where cell != "–" {
                for next in cell.components(separatedBy: ", ") {
                    found.insert(Transition(state: cells[0], input: input, next: next))
                }
            }
        }
        return found
    }

    /// Makes random inputs that the driver can make, until some inputs after the end.
    private static func walk(_ random: inout SeededRandom, _ seen: inout Set<Transition>) {
        var machine = ConnectStateMachine()
        var now = MonotonicInstant(milliseconds: 0)
        var isBegun = false
        var running: [IPAddress.Family] = []
        var open: [ConnectStateMachine.Attempt] = []
        var timers: [ConnectStateMachine.TimerID] = []
        var left = 12
        while left > 0 {
            let before = machine.state
            if before == .over { left -= 1 }
            now = now.advanced(by: .milliseconds(random.next(in: 0..<200)))
            var effects = ConnectEffects()
            let input: String
            switch random.next(in: 0..<12) {
            case 0..<2 where !isBegun:
                isBegun = true
                input = "begin"
                if random.nextBool() {
                    running = [.v4, .v6]
                    effects = machine.begin(.lookUps, now: now)
                } else {
                    effects = machine.begin(.addresses(addresses(&random)), now: now)
                }
            case 2..<4 where !running.isEmpty:
                input = "addressesFound"
                let family = running.remove(at: random.next(in: 0..<running.count))
                effects = machine.addressesFound(family, addresses(&random), now: now)
            case 4 where !running.isEmpty:
                input = "lookUpFailed"
                let family = running.remove(at: random.next(in: 0..<running.count))
                effects = machine.lookUpFailed(family, NameLookupError(.temporary), now: now)
            case 5 where !open.isEmpty:
                input = "attemptConnected"
                effects = machine.attemptConnected(open.remove(at: random.next(in: 0..<open.count)).id)
            case 6..<8 where !open.isEmpty:
                input = "attemptFailed"
                let attempt = open.remove(at: random.next(in: 0..<open.count))
                effects = machine.attemptFailed(attempt.id, ConnectHarness.Refused(), .refused, now: now)
            case 8..<11 where !timers.isEmpty:
                input = "timerFired"
                effects = machine.timerFired(timers.remove(at: random.next(in: 0..<timers.count)), now: now)
            case 11:
                input = "cancel"
                effects = machine.cancel()
            default: continue
            }
            if let attempt = effects.connect { open.append(attempt) }
            if case .set(let id, _) = effects.timer { timers.append(id) }
            seen.insert(Transition(state: before.rawValue, input: input, next: machine.state.rawValue))
        }
    }

    private static func addresses(_ random: inout SeededRandom) -> [IPAddress] {
        (0..<random.next(in: 0..<4)).map { _ in
            .example(random.nextBool() ? .v4 : .v6, number: UInt8(random.next(in: 0..<4)))
        }
    }
}
