import BowlinePlatform
import BowlineTesting
import Dispatch
import NIOCore
import Synchronization
import Testing

@testable import BowlineTransport

@Suite("Look-ups of host names on threads of our own", .timeLimit(.minutes(1)))
struct SystemResolverTests {
    /// Stands for `getaddrinfo`: a look-up of a name that hangs returns when the test says so.
    private final class Names: Sendable {
        private let asked = Mutex<[String]>([])
        private let hanging: Set<String>
        private let release = DispatchSemaphore(value: 0)

        init(hanging: Set<String> = []) {
            self.hanging = hanging
        }

        var all: [String] { asked.withLock { $0 } }

        func answer(_ host: String) -> Result<ResolvedAddresses, NameLookupError> {
            asked.withLock { $0.append(host) }
            if hanging.contains(host) { release.wait() }
            guard host != "absent.test", let address = try? SocketAddress(ipAddress: "127.0.0.1", port: 0) else {
                return .failure(NameLookupError(.noSuchHost))
            }
            return .success(ResolvedAddresses([address]))
        }

        func letGo(_ count: Int) {
            for _ in 0..<count { release.signal() }
        }
    }

    @Test("200 dials to one name make one look-up, and all get its result")
    func coalesced() async throws {
        let names = Names(hanging: ["one.test"])
        let resolver = SystemResolver(lookUp: names.answer)
        let answers = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<200 { group.addTask { try await resolver.resolve("one.test").addresses.count } }
            try await eventually("all wait") { resolver.counts.waiters == 200 }
            names.letGo(1)
            return try await group.reduce(0, +)
        }
        #expect(answers == 200)
        #expect(names.all == ["one.test"])
        try await eventually("no thread is left") { resolver.counts == .init() }
    }

    @Test("15 names that hang do not delay another name")
    func independent() async throws {
        let hanging = (1...15).map { "slow\($0).test" }
        let names = Names(hanging: Set(hanging))
        let resolver = SystemResolver(lookUp: names.answer)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for name in hanging { group.addTask { _ = try await resolver.resolve(name) } }
            try await eventually("all hang") { resolver.counts.running == 15 }
            #expect(try await resolver.resolve("good.test").addresses.count == 1)
            names.letGo(15)
            try await group.waitForAll()
        }
    }

    @Test("While 16 needed names hang, others wait; when one is no longer needed, the next is looked up")
    func sixteen() async throws {
        let hanging = (1...16).map { "slow\($0).test" }
        let names = Names(hanging: Set(hanging))
        let resolver = SystemResolver(lookUp: names.answer)
        let tasks = hanging.map { name in Task { try await resolver.resolve(name) } }
        try await eventually("all hang") { resolver.counts.running == 16 }
        let next = Task { try await resolver.resolve("good.test") }
        try await eventually("the next waits") { resolver.counts.queued == 1 }
        #expect(!names.all.contains("good.test"))

        tasks[0].cancel()
        #expect(try await next.value.addresses.count == 1)
        await #expect(throws: CancellationError.self) { _ = try await tasks[0].value }
        names.letGo(16)
        for task in tasks.dropFirst() { _ = try await task.value }
        try await eventually("no thread is left") { resolver.counts == .init() }
    }

    @Test("A queued look-up that is no longer needed never runs")
    func forgotten() async throws {
        let hanging = (1...16).map { "slow\($0).test" }
        let names = Names(hanging: Set(hanging))
        let resolver = SystemResolver(lookUp: names.answer)
        let tasks = hanging.map { name in Task { try await resolver.resolve(name) } }
        try await eventually("all hang") { resolver.counts.running == 16 }
        let unwanted = Task { try await resolver.resolve("unwanted.test") }
        try await eventually("it waits") { resolver.counts.queued == 1 }
        unwanted.cancel()
        await #expect(throws: CancellationError.self) { _ = try await unwanted.value }
        #expect(resolver.counts.queued == 0)
        names.letGo(16)
        for task in tasks { _ = try await task.value }
        try await eventually("no thread is left") { resolver.counts == .init() }
        #expect(!names.all.contains("unwanted.test"))
    }

    @Test("A failed look-up fails all that wait for it, and is not remembered")
    func failure() async throws {
        let names = Names()
        let resolver = SystemResolver(lookUp: names.answer)
        for _ in 1...2 {
            await #expect(throws: NameLookupError(.noSuchHost)) { _ = try await resolver.resolve("absent.test") }
        }
        #expect(names.all == ["absent.test", "absent.test"])
    }

    @Test("Without a thread the look-up fails with that reason, and the next look-up tries again")
    func noThread() async throws {
        let refusals = Mutex(1)
        let names = Names()
        let resolver = SystemResolver(lookUp: names.answer) { body in
            let isRefused = refusals.withLock { left in
                defer { left -= 1 }
                return left > 0
            }
            if isRefused { return "too many threads" }
            DispatchQueue.global().async(execute: body)
            return nil
        }
        await #expect(throws: NameLookupError(.noResources, "no thread could be started: too many threads")) {
            _ = try await resolver.resolve("good.test")
        }
        #expect(try await resolver.resolve("good.test").addresses.count == 1)
    }

    @Test(
        "localhost is this machine, without a look-up (RFC 6761)",
        arguments: ["localhost", "localhost.", "a.localhost"])
    func localhost(host: String) async throws {
        let names = Names()
        let addresses = try await SystemResolver(lookUp: names.answer).resolve(host).addresses
        #expect(addresses.map(\.ipAddress) == ["::1", "127.0.0.1"])
        #expect(names.all.isEmpty)
    }

    @Test("The system's own look-up reports a name that does not exist, and finds an existing address")
    func system() throws {
        let found = try SystemLookUp.addresses(of: "localhost").get().addresses
        #expect(!found.isEmpty)
        #expect(found.allSatisfy { ["127.0.0.1", "::1"].contains($0.ipAddress) })
        #expect(throws: NameLookupError.self) { try SystemLookUp.addresses(of: "no such name").get() }
    }

    @Test(
        "A lack of descriptors is not reported as a name that does not exist",
        arguments: [EAI_NONAME, EAI_SYSTEM, EAI_AGAIN])
    func lackOfDescriptors(status: CInt) {
        let lack = NameLookupError(.noResources, "Too many open files")
        #expect(SystemLookUp.error(status, 0) { "Too many open files" } == lack)
        #expect(SystemLookUp.error(status, EMFILE) { nil } == lack)
    }

    @Test("Without a lack of resources the system's status says what is wrong")
    func statuses() {
        #expect(SystemLookUp.error(EAI_NONAME, ENOENT) { nil }.reason == .noSuchHost)
        #expect(SystemLookUp.error(EAI_AGAIN, 0) { nil }.reason == .temporary)
        #expect(SystemLookUp.error(EAI_MEMORY, 0) { nil }.reason == .noResources)
        #expect(SystemLookUp.error(EAI_SYSTEM, EIO) { nil } == NameLookupError(.other, "Input/output error"))
    }
}
