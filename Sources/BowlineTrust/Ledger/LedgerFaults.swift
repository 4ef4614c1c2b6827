internal import BowlineTesting

/// The faults of the path between client and service. A seed determines the faults of each connection.
///
/// Without TLS the path does not lose, duplicate or change a byte: the client could not detect an altered request or
/// answer.
struct LedgerFaults: Sendable, Hashable {
    let seed: UInt64
    /// The share of the connections that have faults, from 0 to 1.
    let fraction: Double
    let isEncrypted: Bool

    /// The scripts of all connections.
    var plan: FaultPlan { .make { script(ofConnection: $0) } }

    /// The script of a connection, always the same for the same number.
    func script(ofConnection number: Int) -> FaultScript {
        var random = SeededRandom(seed: seed &+ UInt64(truncatingIfNeeded: number) &* 0x9FB2_1C65_1E98_DF25)
        var script = FaultScript()
        guard random.nextBool(probability: fraction) else { return script }
        script.opening = Self.opening(&random)
        script.toServer = lane(&random)
        script.toClient = lane(&random)
        return script
    }

    private static func opening(_ random: inout SeededRandom) -> FaultScript.Opening {
        switch random.next(in: 0..<24) {
        case 0: .refuse(.fin)
        case 1: .refuse(.reset)
        case 2: .silence
        case 3: .delay(.milliseconds(random.next(in: 1..<30)))
        default: .connect
        }
    }

    private func lane(_ random: inout SeededRandom) -> FaultLane {
        var lane = FaultLane()
        if random.nextBool(probability: 0.3) { lane.latency = .milliseconds(random.next(in: 1..<6)) }
        if random.nextBool(probability: 0.2) { lane.jitter = .milliseconds(random.next(in: 1..<4)) }
        if random.nextBool(probability: 0.1) { lane.bytesPerSecond = random.next(in: 200_000..<4_000_000) }
        switch random.next(in: 0..<12) {
        case 0: lane.sliceBytes = random.next(in: 1..<8)
        case 1: lane.sliceBytes = random.next(in: 8..<200)
        case 2:
            lane.sliceBytes = random.next(in: 1000..<5000)
            lane.sliceGap = .microseconds(200)
        default: break
        }
        let count = random.next(in: 0..<3)
        let events = (0..<count).map { _ in FaultEvent(at: Self.offset(&random), kind(&random)) }
        lane.events = events.sorted { $0.offset < $1.offset }
        return lane
    }

    /// Draws the position of a fault: in a head, in a handshake, or anywhere.
    private static func offset(_ random: inout SeededRandom) -> Int {
        switch random.next(in: 0..<3) {
        case 0: random.next(in: 0..<400)
        case 1: random.next(in: 0..<8000)
        default: random.next(in: 0..<200_000)
        }
    }

    private func kind(_ random: inout SeededRandom) -> FaultEvent.Kind {
        switch random.next(in: 0..<(isEncrypted ? 15 : 12)) {
        case 0, 1: .cut(.fin)
        case 2, 3: .cut(.reset)
        case 4: .halfClose
        case 5, 6, 7, 8, 9: .pause(.milliseconds(random.next(in: 1..<60)))
        case 10: .silence
        case 11: .silenceBoth
        case 12: .swallow(random.next(in: 1..<40))
        case 13: .duplicate(random.next(in: 1..<40))
        default: .corrupt(random.next(in: 1..<8))
        }
    }
}
