import BowlineCore

@testable import BowlineTransport

/// A machine with addresses that have short names (`4a`, `6b`: the family and a letter), and instants in milliseconds.
struct ConnectHarness: ~Copyable {
    enum Event: Sendable {
        case begin([String], recentlyFailed: Int = 0)
        case lookUps
        case found(IPAddress.Family, [String], recentlyFailed: Int = 0)
        case lookUpFailed(IPAddress.Family)
        case connected(String)
        case failed(String)
        /// The current timer fires.
        case timer
        /// A timer fires that was set earlier: 1 is the first that the machine set.
        case earlierTimer(Int)
        case cancel
    }

    enum Effect: Equatable, Sendable {
        case connect(String)
        case close([String])
        case timer(Int)
        case timerCancelled
        case connected(String)
        case failed
    }

    struct Refused: Error {}

    private var machine: ConnectStateMachine
    private var attempts: [String: ConnectStateMachine.AttemptID] = [:]
    private var timers: [ConnectStateMachine.TimerID] = []

    var state: ConnectStateMachine.State { machine.state }

    init(preferring preferred: IPAddress.Family = .v6) {
        machine = ConnectStateMachine(preferring: preferred)
    }

    /// Performs an event at an instant. Returns the effects in the order connect, close, timer, outcome.
    mutating func perform(_ event: Event, at milliseconds: Int) -> [Effect] {
        let now = MonotonicInstant(milliseconds: milliseconds)
        return observe(apply(event, now))
    }

    private mutating func apply(_ event: Event, _ now: MonotonicInstant) -> ConnectEffects {
        switch event {
        case .begin(let names, let recentlyFailed):
            machine.begin(.addresses(names.map(Self.address), recentlyFailed: recentlyFailed), now: now)
        case .lookUps: machine.begin(.lookUps, now: now)
        case .found(let family, let names, let recentlyFailed):
            machine.addressesFound(family, names.map(Self.address), recentlyFailed: recentlyFailed, now: now)
        case .lookUpFailed(let family): machine.lookUpFailed(family, NameLookupError(.temporary), now: now)
        case .connected(let name): machine.attemptConnected(id(name))
        case .failed(let name): machine.attemptFailed(id(name), Refused(), .refused, now: now)
        case .timer: machine.timerFired(timers.last ?? .init(value: 0), now: now)
        case .earlierTimer(let number): machine.timerFired(timers[number - 1], now: now)
        case .cancel: machine.cancel()
        }
    }

    private mutating func observe(_ effects: ConnectEffects) -> [Effect] {
        var seen: [Effect] = []
        if let attempt = effects.connect {
            attempts[Self.name(attempt.address)] = attempt.id
            seen.append(.connect(Self.name(attempt.address)))
        }
        if !effects.close.isEmpty { seen.append(.close(effects.close.map { Self.name($0.address) })) }
        switch effects.timer {
        case .set(let id, let instant):
            timers.append(id)
            seen.append(.timer(instant.milliseconds))
        case .cancel: seen.append(.timerCancelled)
        case nil: break
        }
        switch effects.outcome {
        case .connected(let attempt): seen.append(.connected(Self.name(attempt.address)))
        case .failed: seen.append(.failed)
        case nil: break
        }
        return seen
    }

    private func id(_ name: String) -> ConnectStateMachine.AttemptID { attempts[name] ?? .init(value: 0) }

    private static func address(_ name: String) -> IPAddress {
        .example(name.hasPrefix("4") ? .v4 : .v6, number: UInt8(name.utf8.last ?? 0))
    }

    private static func name(_ address: IPAddress) -> String {
        let letter = Character(Unicode.Scalar(address.bytes.last ?? 0))
        return "\(address.family == .v4 ? 4 : 6)\(letter)"
    }
}

extension IPAddress {
    /// An address of RFC 5737 or RFC 3849.
    static func example(_ family: Family, number: UInt8) -> IPAddress {
        let bytes: [UInt8] =
            switch family {
            case .v4: [192, 0, 2, number]
            case .v6: [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [number]
            }
        guard let address = IPAddress(bytes: bytes) else { preconditionFailure("4 or 16 bytes") }
        return address
    }
}

extension MonotonicInstant {
    init(milliseconds: Int) {
        self.init(nanoseconds: Int64(milliseconds) * 1_000_000)
    }

    var milliseconds: Int { Int(nanoseconds / 1_000_000) }
}
