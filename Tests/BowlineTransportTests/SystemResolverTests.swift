import BowlineCore
import BowlinePlatform
import BowlineTesting
import Dispatch
import Synchronization
import Testing

@testable import BowlineTransport

@Suite("Look-ups of host names on threads of our own", .timeLimit(.minutes(1)))
struct SystemResolverTests {
    /// Stands for `getaddrinfo`: a look-up of a name that hangs returns when the test says so.
    private final class Names: Sendable {
        private let asked = Mutex<[NameQuery]>([])
        private let hanging: Set<String>
        private let release = DispatchSemaphore(value: 0)

        init(hanging: Set<String> = []) {
            self.hanging = hanging
        }

        /// The names in the order in which they were looked up.
        var all: [String] { queries.map(\.host) }
        var queries: [NameQuery] { asked.withLock { $0 } }

        func answer(_ host: String, _ family: IPAddress.Family) -> Result<ResolvedAddresses, NameLookupError> {
            asked.withLock { $0.append(NameQuery(host, family)) }
            if hanging.contains(host) { release.wait() }
            guard host != "absent.test", let address = IPAddress(family == .v4 ? "127.0.0.1" : "::1") else {
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
            for _ in 0..<200 { group.addTask { try await resolver.resolve("one.test", .v4).addresses.count } }
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
            for name in hanging { group.addTask { _ = try await resolver.resolve(name, .v4) } }
            try await eventually("all hang") { resolver.counts.running == 15 }
            #expect(try await resolver.resolve("good.test", .v4).addresses.count == 1)
            names.letGo(15)
            try await group.waitForAll()
        }
    }

    @Test("While 16 needed look-ups of a family hang, others wait; when one is no longer needed, the next is looked up")
    func limit() async throws {
        let hanging = (1...16).map { "slow\($0).test" }
        let names = Names(hanging: Set(hanging))
        let resolver = SystemResolver(lookUp: names.answer)
        let tasks = hanging.map { name in Task { try await resolver.resolve(name, .v4) } }
        try await eventually("all hang") { resolver.counts.running == 16 }
        let next = Task { try await resolver.resolve("good.test", .v4) }
        try await eventually("the next waits") { resolver.counts.queued == 1 }
        #expect(!names.all.contains("good.test"))

        tasks[0].cancel()
        #expect(try await next.value.addresses.count == 1)
        await #expect(throws: CancellationError.self) { _ = try await tasks[0].value }
        names.letGo(16)
        for task in tasks.dropFirst() { _ = try await task.value }
        try await eventually("no thread is left") { resolver.counts == .init() }
    }

    @Test("While all look-ups of one family hang, the other family is looked up")
    func otherFamily() async throws {
        let hanging = (1...40).map { "slow\($0).test" }
        let release = DispatchSemaphore(value: 0)
        let resolver = SystemResolver { _, family in
            if family == .v6 { release.wait() }
            return .success(ResolvedAddresses([IPAddress("127.0.0.1")].compactMap { $0 }))
        }
        let tasks = hanging.map { name in Task { try await resolver.resolve(name, .v6) } }
        try await eventually("many hang") { resolver.counts.running == 16 && resolver.counts.queued == 24 }
        for task in tasks.prefix(30) { task.cancel() }
        try await eventually("abandoned ones hang, too") { resolver.counts.threads >= 26 }
        for name in hanging { #expect(try await resolver.resolve(name, .v4).addresses.count == 1) }
        for _ in hanging { release.signal() }
        for task in tasks.suffix(10) { _ = try await task.value }
        try await eventually("no thread is left") { resolver.counts == .init() }
    }

    @Test("A queued look-up that is no longer needed never runs")
    func forgotten() async throws {
        let hanging = (1...16).map { "slow\($0).test" }
        let names = Names(hanging: Set(hanging))
        let resolver = SystemResolver(lookUp: names.answer)
        let tasks = hanging.map { name in Task { try await resolver.resolve(name, .v4) } }
        try await eventually("all hang") { resolver.counts.running == 16 }
        let unwanted = Task { try await resolver.resolve("unwanted.test", .v4) }
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
            await #expect(throws: NameLookupError(.noSuchHost)) { _ = try await resolver.resolve("absent.test", .v4) }
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
            _ = try await resolver.resolve("good.test", .v4)
        }
        #expect(try await resolver.resolve("good.test", .v4).addresses.count == 1)
    }

    @Test("The families of a name are separate look-ups, and each answer has its own family")
    func families() async throws {
        let names = Names(hanging: ["one.test"])
        let resolver = SystemResolver(lookUp: names.answer)
        async let four = resolver.resolve("one.test", .v4).addresses
        async let six = resolver.resolve("one.test", .v6).addresses
        try await eventually("both run") { resolver.counts.running == 2 }
        names.letGo(2)
        #expect(try await four.map(\.description) == ["127.0.0.1"])
        #expect(try await six.map(\.description) == ["::1"])
        #expect(Set(names.queries) == [NameQuery("one.test", .v4), NameQuery("one.test", .v6)])
    }

    @Test("The system's own look-up reports a name that does not exist, and finds an existing address for 30 s")
    func system() throws {
        let found = try SystemLookUp.addresses(of: "localhost", .v4).get()
        #expect(found.addresses == [IPAddress("127.0.0.1")])
        #expect(found.validFor == .seconds(30))
        #expect(throws: NameLookupError.self) { try SystemLookUp.addresses(of: "no such name", .v4).get() }
    }

    @Test("The system's own look-up finds the addresses of one family only")
    func oneFamily() throws {
        // Numeric hosts need no name server, and some machines have no IPv6 name.
        #expect(try SystemLookUp.addresses(of: "::1", .v6).get().addresses == [IPAddress("::1")])
        #expect(try SystemLookUp.addresses(of: "192.0.2.1", .v4).get().addresses == [IPAddress("192.0.2.1")])
        let other = SystemLookUp.addresses(of: "192.0.2.1", .v6)
        #expect((try? other.get().addresses) ?? [] == [])
    }

    @Test(
        "A lack of descriptors is not reported as a name that does not exist",
        arguments: [EAI_NONAME, EAI_SYSTEM, EAI_AGAIN] + Platform.noAddressErrors)
    func lackOfDescriptors(status: CInt) {
        let lack = NameLookupError(.noResources, "Too many open files")
        #expect(SystemLookUp.answer(status, 0) { "Too many open files" } == .failure(lack))
        #expect(SystemLookUp.answer(status, EMFILE) { nil } == .failure(lack))
    }

    @Test("Without a lack of resources the system's status says what is wrong")
    func statuses() {
        #expect(reason(EAI_NONAME, ENOENT) == .noSuchHost)
        #expect(reason(EAI_AGAIN, 0) == .temporary)
        #expect(reason(EAI_MEMORY, 0) == .noResources)
        #expect(
            SystemLookUp.answer(EAI_SYSTEM, EIO) { nil } == .failure(NameLookupError(.other, "Input/output error")))
    }

    @Test("A name without an address of the family is an empty answer and not an error")
    func noAddress() {
        for status in Platform.noAddressErrors {
            let answer = SystemLookUp.answer(status, 0) { nil }
            #expect(answer == .success(ResolvedAddresses([], validFor: .seconds(30))), "\(status)")
        }
    }

    private func reason(_ status: CInt, _ systemError: CInt) -> NameLookupError.Reason? {
        guard case .failure(let error) = SystemLookUp.answer(status, systemError, lackOfDescriptors: { nil }) else {
            return nil
        }
        return error.reason
    }
}
