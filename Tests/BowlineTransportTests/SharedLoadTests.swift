import BowlineCore
import BowlineTesting
import Dispatch
import NIOCore
import NIOPosix
import Testing

@testable import BowlineTransport

@Suite("A load that all dials share", .timeLimit(.minutes(1)))
struct SharedLoadTests {
    private struct Unlucky: Error {}

    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    private func load<Value: Sendable>(_ shared: SharedLoad<Value>) -> EventLoopFuture<Value> {
        let promise = loop.makePromise(of: Value.self)
        loop.execute {
            shared.whenLoaded(on: self.loop) { result in
                self.loop.assertInEventLoop()
                promise.completeWith(result)
            }
        }
        return promise.futureResult
    }

    @Test("one load serves all that wait, away from their loop, which goes on meanwhile")
    func shared() async throws {
        let loads = Guarded(0)
        let mayEnd = DispatchSemaphore(value: 0)
        let loop = loop
        let shared = SharedLoad<Int> {
            #expect(!loop.inEventLoop)
            mayEnd.wait()
            return loads.withLock {
                $0 += 1
                return $0
            }
        }
        let waiting = (0..<50).map { _ in load(shared) }
        // The load is held, and the loop that began it takes other work.
        for _ in 0..<10 { try await loop.submit {}.get() }
        #expect(loads.withLock { $0 } == 0)
        mayEnd.signal()
        for future in waiting { #expect(try await future.get() == 1) }
        #expect(try await load(shared).get() == 1)
        #expect(loads.withLock { $0 } == 1)
    }

    @Test("a value that is there comes at once, without a turn of the loop")
    func atOnce() async throws {
        let shared = SharedLoad<Int> { 7 }
        #expect(try await load(shared).get() == 7)
        let loop = loop
        let isAtOnce = try await loop.submit {
            let value = Guarded(0)
            shared.whenLoaded(on: loop) { result in value.withLock { $0 = (try? result.get()) ?? -1 } }
            return value.withLock { $0 == 7 }
        }.get()
        #expect(isAtOnce)
    }

    @Test("a load that failed fails all that wait, and the next one begins anew")
    func failed() async throws {
        let loads = Guarded(0)
        let shared = SharedLoad<Int> {
            let count = loads.withLock {
                $0 += 1
                return $0
            }
            guard count > 1 else { throw Unlucky() }
            return count
        }
        await #expect(throws: Unlucky.self) { _ = try await load(shared).get() }
        #expect(try await load(shared).get() == 2)
        #expect(loads.withLock { $0 } == 2)
    }
}
