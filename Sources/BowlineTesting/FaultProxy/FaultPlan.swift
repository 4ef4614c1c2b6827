/// Which script each connection of a ``FaultProxy`` gets.
///
/// Connections are counted from 0 from when the plan is put to use: by ``FaultProxy/start(to:port:plan:)``, or by
/// ``FaultProxy/use(_:)``.
public struct FaultPlan: Sendable {
    private let draw: @Sendable (Int) -> FaultScript
    private let seed: UInt64

    private init(seed: UInt64 = 0, _ draw: @escaping @Sendable (Int) -> FaultScript) {
        self.seed = seed
        self.draw = draw
    }

    /// All passes untouched.
    public static let none = FaultPlan.every(.none)

    /// Each connection gets this script.
    public static func every(_ script: FaultScript) -> FaultPlan {
        FaultPlan { _ in script }
    }

    /// The first connections get these scripts, one each; all later ones get `rest`.
    public static func scripts(_ scripts: [FaultScript], then rest: FaultScript = .none) -> FaultPlan {
        FaultPlan { scripts.indices.contains($0) ? scripts[$0] : rest }
    }

    /// Each connection gets a script that is drawn from the seed and the connection's number.
    ///
    /// The same seed and the same mix yield the same scripts, whatever the connections do.
    public static func seeded(_ seed: UInt64, mix: FaultMix = .standard) -> FaultPlan {
        FaultPlan(seed: seed) { connection in
            var random = Self.random(seed, connection, stream: 0)
            return mix.script(from: &random)
        }
    }

    /// Each connection gets what `script` returns for its number. It is called on an event loop, so it must not block.
    public static func make(_ script: @escaping @Sendable (_ connection: Int) -> FaultScript) -> FaultPlan {
        FaultPlan(script)
    }

    /// The script of a connection, by its number from 0: what a seed stands for.
    public func script(for connection: Int) -> FaultScript {
        draw(connection)
    }

    /// What the jitter of a connection's direction is drawn from.
    func jitter(for connection: Int, _ direction: FaultDirection) -> SeededRandom {
        Self.random(seed, connection, stream: direction == .toServer ? 1 : 2)
    }

    /// Numbers of their own for each connection and each use, all of them fixed by the seed.
    private static func random(_ seed: UInt64, _ connection: Int, stream: UInt64) -> SeededRandom {
        var ofSeed = SeededRandom(seed: seed)
        var ofConnection = SeededRandom(seed: UInt64(truncatingIfNeeded: connection) &* 4 &+ stream)
        return SeededRandom(seed: ofSeed.next() ^ ofConnection.next())
    }
}
