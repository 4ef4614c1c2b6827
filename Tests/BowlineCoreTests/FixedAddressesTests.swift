import BowlineCore
import Testing

@Suite("Fixed addresses of hosts")
struct FixedAddressesTests {
    /// Knows every host, by one address per family.
    private struct Anything: ServiceResolver {
        func resolve(_ host: String, _ family: IPAddress.Family) async throws -> ResolvedAddresses {
            let bytes = [UInt8](repeating: 9, count: family == .v4 ? 4 : 16)
            return ResolvedAddresses([IPAddress(bytes: bytes)].compactMap(\.self), validFor: .seconds(7))
        }
    }

    private let first = IPAddress("192.0.2.1")!
    private let second = IPAddress("192.0.2.2")!
    private let third = IPAddress("2001:db8::3")!

    @Test("A host has its fixed addresses, by family and in their order, and a family without addresses is empty")
    func fixed() async throws {
        let resolver = FixedAddresses(["Api.Test": [second, third, first], "four.test": [first]], otherwise: nil)
        #expect(try await resolver.resolve("api.test", .v4).addresses == [second, first])
        #expect(try await resolver.resolve("api.test", .v6).addresses == [third])
        #expect(try await resolver.resolve("four.test", .v6).addresses == [])
    }

    @Test("The other resolver answers for other hosts; a name with a trailing dot is another host")
    func otherwise() async throws {
        let resolver = FixedAddresses(["api.test": [first]], otherwise: Anything())
        #expect(try await resolver.resolve("other.test", .v4).addresses.map(\.description) == ["9.9.9.9"])
        #expect(try await resolver.resolve("other.test", .v4).validFor == .seconds(7))
        #expect(try await resolver.resolve("api.test.", .v4).addresses.map(\.description) == ["9.9.9.9"])
        #expect(try await resolver.resolve("api.test", .v4).addresses == [first])
    }

    @Test("Without another resolver other hosts do not exist")
    func alone() async {
        let resolver = FixedAddresses(["api.test": [first]], otherwise: nil)
        await #expect(throws: NameLookupError(.noSuchHost)) { _ = try await resolver.resolve("other.test", .v4) }
    }
}
