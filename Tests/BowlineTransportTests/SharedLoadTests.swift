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
            _ = shared.whenLoaded(on: self.loop) { result in
                self.loop.assertInEventLoop()
                promise.completeWith(result)
            }
        }
        return promise.futureResult
    }

    @Test("One load serves all waiters on another thread, and their loop stays free")
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

    @Test("A loaded value is delivered at once, without a turn of the loop")
    func atOnce() async throws {
        let shared = SharedLoad<Int> { 7 }
        #expect(try await load(shared).get() == 7)
        let loop = loop
        let isAtOnce = try await loop.submit {
            let value = Guarded(0)
            let ticket = shared.whenLoaded(on: loop) { result in value.withLock { $0 = (try? result.get()) ?? -1 } }
            return ticket == nil && value.withLock { $0 == 7 }
        }.get()
        #expect(isAtOnce)
    }

    /// Opens a gate when its last reference is released.
    private final class Held: Sendable {
        let isReleased: Gate

        init(_ isReleased: Gate) {
            self.isReleased = isReleased
        }

        deinit { isReleased.open() }
    }

    @Test("A forgotten waiter is not called back, and its captures are released while the load still runs")
    func forgotten() async throws {
        let mayEnd = DispatchSemaphore(value: 0)
        let shared = SharedLoad<Int> {
            mayEnd.wait()
            return 7
        }
        let loop = loop
        let first = load(shared)
        let isReleased = Gate()
        let calls = Guarded(0)
        let ticket = try await loop.submit {
            let held = Held(isReleased)
            return shared.whenLoaded(on: loop) { [held] _ in calls.withLock { $0 += held.isReleased.isOpen ? 100 : 1 } }
        }.get()
        let last = load(shared)
        try await loop.submit {}.get()
        #expect(!isReleased.isOpen)
        shared.forget(try #require(ticket))
        #expect(isReleased.isOpen)
        // Calling it twice, or after the end, has no further effect.
        shared.forget(try #require(ticket))
        mayEnd.signal()
        #expect(try await first.get() == 7)
        // Waiters are called in their order of arrival: the forgotten waiter would have been called before this one.
        #expect(try await last.get() == 7)
        #expect(calls.withLock { $0 } == 0)
        shared.forget(try #require(ticket))
        #expect(try await load(shared).get() == 7)
    }

    @Test("If the waiter that began the load is forgotten, the load serves later waiters")
    func firstForgotten() async throws {
        let loads = Guarded(0)
        let mayEnd = DispatchSemaphore(value: 0)
        let shared = SharedLoad<Int> {
            mayEnd.wait()
            return loads.withLock {
                $0 += 1
                return $0
            }
        }
        let loop = loop
        let ticket = try await loop.submit {
            shared.whenLoaded(on: loop) { _ in Issue.record("called back after it was forgotten") }
        }.get()
        shared.forget(try #require(ticket))
        let next = load(shared)
        try await loop.submit {}.get()
        mayEnd.signal()
        #expect(try await next.get() == 1)
        #expect(loads.withLock { $0 } == 1)
    }

    @Test("A failed load fails all waiters, and the next request begins another load")
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
