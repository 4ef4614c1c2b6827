/// Decides which script each connection of a ``FaultProxy`` gets.
///
/// A plan numbers connections from 0, starting when ``FaultProxy/start(to:port:plan:)`` or ``FaultProxy/use(_:)`` gets
/// the plan.
public struct FaultPlan: Sendable {
    private let draw: @Sendable (Int) -> FaultScript
    private let seed: UInt64

    private init(seed: UInt64 = 0, _ draw: @escaping @Sendable (Int) -> FaultScript) {
        self.seed = seed
        self.draw = draw
    }

    /// All bytes pass unchanged.
    public static let none = FaultPlan.every(.none)

    /// Each connection gets this script.
    public static func every(_ script: FaultScript) -> FaultPlan {
        FaultPlan { _ in script }
    }

    /// The first connections get these scripts, one each. All later connections get `rest`.
    public static func scripts(_ scripts: [FaultScript], then rest: FaultScript = .none) -> FaultPlan {
        FaultPlan { scripts.indices.contains($0) ? scripts[$0] : rest }
    }

    /// Each connection gets a script that is drawn from the seed and the connection's number.
    ///
    /// The same seed and the same mix produce the same scripts, independent of what the connections do.
    public static func seeded(_ seed: UInt64, mix: FaultMix = .standard) -> FaultPlan {
        FaultPlan(seed: seed) { connection in
            var random = Self.random(seed, connection, stream: 0)
            return mix.script(from: &random)
        }
    }

    /// Each connection gets the script that the closure returns for its number. The closure runs on an event loop, so
    /// it must not block.
    public static func make(_ script: @escaping @Sendable (_ connection: Int) -> FaultScript) -> FaultPlan {
        FaultPlan(script)
    }

    /// Returns the script of a connection by its number, from 0. Shows which scripts a seed produces.
    public func script(for connection: Int) -> FaultScript {
        draw(connection)
    }

    /// Returns the random numbers for the jitter of one direction of a connection.
    func jitter(for connection: Int, _ direction: FaultDirection) -> SeededRandom {
        Self.random(seed, connection, stream: direction == .toServer ? 1 : 2)
    }

    /// Returns a separate sequence of random numbers for each connection and each use. The seed determines them all.
    private static func random(_ seed: UInt64, _ connection: Int, stream: UInt64) -> SeededRandom {
        var ofSeed = SeededRandom(seed: seed)
        var ofConnection = SeededRandom(seed: UInt64(truncatingIfNeeded: connection) &* 4 &+ stream)
        return SeededRandom(seed: ofSeed.next() ^ ofConnection.next())
    }
}
