internal import BowlineTesting
internal import Testing

@testable import BowlineTrust

@Suite("The census of tasks")
struct TaskCensusTests {
    @Test("counts a piece of work while it goes on, and not afterwards")
    func work() async {
        let census = TaskCensus()
        let during = await census.counting { census.count }
        #expect(during == 1)
        #expect(census.count == 0)
    }

    @Test("counts a piece of work until the last task that it began has ended")
    func leftTask() async throws {
        let census = TaskCensus()
        let gate = Gate()
        let task = await census.counting { Task { try await gate.wait() } }
        #expect(census.count == 1)
        gate.open()
        try await task.value
        try await eventually("the task's end") { census.count == 0 }
    }
}
