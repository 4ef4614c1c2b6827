import Bowline
import Foundation

/// What happens when, in seconds after the processes have begun, and what the processes together may do.
enum Schedule {
    struct Phase {
        let name: String
        let seconds: Range<Int>
    }

    static let processes = 4
    /// The quota of all processes together. The burst is 2 % of the tokens of ten seconds. It is what a machine that is busy
    /// with other things for 0.2 s can catch up with.
    static let quota = RateLimit(perSecond: 1000, burst: 200)
    static let killed = 4
    static let restarted = 6
    static let seconds = 12
    /// The counts are taken every tenth of a second.
    static let ticksPerSecond = 10
    static let tolerance = 0.02
    /// If the machine makes a process wait for longer, in milliseconds, the bucket overflows. That shows nothing about the
    /// limit: the schedule is run again, up to three times in all.
    static let latest = 150
    static let runs = 3

    /// The first second is not counted. In it, the processes begin, and find out how many tokens each of them gets.
    ///
    /// The gates ask a store that is away after 0.25, 0.5, 1 and 2 s. So they use it again about two seconds after the
    /// restart.
    static let phases = [
        Phase(name: "with the store, seconds 1 to 4", seconds: 1..<killed),
        Phase(name: "the store is away and comes back, seconds 4 to 9", seconds: killed..<9),
        Phase(name: "with the store again, seconds 9 to 12", seconds: 9..<seconds),
        Phase(name: "ten seconds, 1 to 11", seconds: 1..<11),
    ]
}

/// A share as per cent with one digit after the point.
func percent(_ share: Double) -> String { String(format: "%.1f %%", share * 100) }
