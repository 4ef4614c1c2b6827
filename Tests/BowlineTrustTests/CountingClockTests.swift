internal import Bowline
internal import BowlineTesting
internal import Testing

@testable import BowlineTrust

@Suite("The clock that counts sleeps")
struct CountingClockTests {
    @Test("A sleep counts until it ends, and a cancelled one until it is cancelled", .timeLimit(.minutes(1)))
    func sleeps() async throws {
        let clock = CountingClock()
        try await clock.sleep(until: clock.now.advanced(by: .milliseconds(1)), tolerance: nil)
        #expect(clock.sleeping == 0)
        let task = Task { try await clock.sleep(until: clock.now.advanced(by: .seconds(600)), tolerance: nil) }
        try await eventually("the sleep") { clock.sleeping == 1 }
        task.cancel()
        try await eventually("the end of the sleep") { clock.sleeping == 0 }
    }
}
