internal import Bowline
internal import Testing

@testable import BowlineTool

@Suite("Ending by signals, and workers that pause", .timeLimit(.minutes(1)))
struct EndingTests {
    private static func ending() throws -> Ending {
        Ending(client: try ServiceClient(), drain: .seconds(60))
    }

    @Test("the first signal drains, the second forces, the third does not wait for the report")
    func signals() async throws {
        let ending = try Self.ending()
        #expect(ending.signalled() == .begin)
        #expect(ending.signalled() == .force)
        #expect(ending.signalled() == .leave)
        #expect(await ending.finish().isClean)
    }

    @Test("a signal after the last request is still the first")
    func lateSignal() async throws {
        let ending = try Self.ending()
        #expect(await ending.finish().isClean)
        #expect(ending.signalled() == .begin)
    }

    @Test("a worker's pause ends when the shutdown begins, and does not begin after it")
    func pauses() async throws {
        let ending = try Self.ending()
        await withTaskGroup { group in
            for _ in 0..<8 { group.addTask { await ending.pause(for: .seconds(3600)) } }
            ending.begin()
            await group.waitForAll()
        }
        await ending.pause(for: .seconds(3600))
    }

    @Test("When the shutdown ends a pause, the client already refuses the worker's next request")
    func pauseEndsAfterTheFlip() async throws {
        for _ in 0..<200 {
            let client = try ServiceClient()
            let ending = Ending(client: client, drain: .zero)
            async let paused: Void = ending.pause(for: .seconds(3600))
            ending.begin()
            await paused
            var states = client.shutdownProgress.makeAsyncIterator()
            #expect(await states.next()?.state != .running)
        }
    }

    @Test("A request after the shutdown is refused, and counts as refused and not as failed")
    func refusal() async throws {
        let client = try ServiceClient()
        let ending = Ending(client: client, drain: .zero)
        _ = await ending.finish()
        let error = await #expect(throws: ServiceError.self) { try await client.get("http://127.0.0.1:9/") }
        #expect(Failure(try #require(error)).isRefusal)
    }
}
