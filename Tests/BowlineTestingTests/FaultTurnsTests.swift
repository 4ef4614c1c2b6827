import NIOCore
import NIOPosix
import Testing

@testable import BowlineTesting

@Suite("Fault proxy: turns", .timeLimit(.minutes(1)))
struct FaultTurnsTests {
    /// The executed turns, in order. Used on one event loop only.
    private final class Log {
        var lines: [String] = []
    }

    @Test("Turns run one by one, in order, and the event loop does other work between two turns")
    func order() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let ended = loop.makePromise(of: [String].self)
        loop.execute {
            let log = Log()
            let isolated = loop.assumeIsolated()
            let turns = FaultTurns(on: loop)
            for name in ["a", "b", "c"] {
                turns.add {
                    log.lines.append(name)
                    isolated.execute {
                        log.lines.append("after \(name)")
                        if name == "c" { ended.succeed(log.lines) }
                    }
                }
            }
            log.lines.append("added")
        }
        let lines = try await ended.futureResult.get()
        #expect(lines == ["added", "a", "after a", "b", "after b", "c", "after c"])
    }

    @Test("A turn that is requested within a turn runs after the waiting turns, also when none waits")
    func again() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let ended = loop.makePromise(of: [String].self)
        loop.execute {
            let log = Log()
            let isolated = loop.assumeIsolated()
            let turns = FaultTurns(on: loop)
            turns.add {
                log.lines.append("a")
                turns.add {
                    log.lines.append("a again")
                    isolated.execute {
                        // Now no turn waits and none is scheduled.
                        turns.add {
                            log.lines.append("last")
                            ended.succeed(log.lines)
                        }
                    }
                }
            }
            turns.add { log.lines.append("b") }
        }
        let lines = try await ended.futureResult.get()
        #expect(lines == ["a", "b", "a again", "last"])
    }
}
