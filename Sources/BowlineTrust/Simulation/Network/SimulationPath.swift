internal import BowlineTesting

/// The properties of one connection's path, drawn from the seed.
struct SimulationPath: Sendable, Hashable {
    enum Cut: Sendable, Hashable {
        case reset, end
    }

    /// How long bytes travel, at least.
    var latency = Duration.zero
    /// How much longer they travel, at most. Bytes of one direction never overtake each other.
    var jitter = Duration.zero
    /// How large the pieces are in which bytes arrive, at most. nil: as large as they were written.
    var longestPiece: Int?
    /// How many bytes may be on their way or unread in one direction.
    var capacity = 262_144
    /// After how many bytes of both directions the path cuts the connection. nil: never.
    var cutAfter: Int?
    var cut = Cut.reset
    /// After how many bytes of both directions no byte arrives any more. nil: never.
    var darkAfter: Int?
    /// The probability that a piece is late by ``pause``.
    var pauseChance = 0.0
    var pause = Duration.zero

    /// Draws a path.
    ///
    /// - Parameter isFaulty: Whether the path may cut the connection, go dark or pause for long.
    static func drawn(_ random: inout SeededRandom, isFaulty: Bool) -> SimulationPath {
        var path = SimulationPath()
        path.latency = [.zero, .microseconds(50), .milliseconds(1), .milliseconds(20)].picked(&random) ?? .zero
        path.jitter = [.zero, .microseconds(20), .milliseconds(3)].picked(&random) ?? .zero
        path.longestPiece = [nil, 7, 300, 4_000].picked(&random) ?? nil
        path.capacity = [4_096, 65_536, 262_144].picked(&random) ?? 262_144
        guard isFaulty else { return path }
        if random.nextBool(probability: 0.15) {
            path.cutAfter = random.next(in: 0..<[200, 3_000, 100_000].picked(&random, else: 200))
            path.cut = random.nextBool() ? .reset : .end
        } else if random.nextBool(probability: 0.1) {
            path.darkAfter = random.next(in: 0..<[200, 3_000, 100_000].picked(&random, else: 200))
        }
        if random.nextBool(probability: 0.2) {
            path.pauseChance = 0.05
            path.pause = .milliseconds(random.next(in: 1..<3_000))
        }
        return path
    }
}

extension Array {
    /// Draws an element; nil: the array is empty.
    func picked(_ random: inout SeededRandom) -> Element? {
        isEmpty ? nil : self[random.next(in: 0..<count)]
    }

    /// Draws an element.
    func picked(_ random: inout SeededRandom, else other: Element) -> Element {
        picked(&random) ?? other
    }
}
