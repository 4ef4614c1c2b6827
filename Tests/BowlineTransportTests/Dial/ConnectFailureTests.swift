import BowlineCore
import Testing

@testable import BowlineTransport

@Suite("What a failed connect remembers")
struct ConnectFailureTests {
    struct Numbered: Error, Equatable { let number: Int }

    @Test("The first refusal is remembered, even after eight other errors")
    func refusal() {
        var failure = ConnectFailure()
        for number in 0..<20 { fail(&failure, number, number >= 15 ? .refused : .other) }
        #expect(failure.attemptError as? Numbered == Numbered(number: 15))
        #expect(failure.attemptCount == 20)
        #expect(failure.attempts.count == 8)
    }

    @Test("Without a refusal the first error describes the failure")
    func firstError() {
        var failure = ConnectFailure()
        for number in 3..<6 { fail(&failure, number, .other) }
        #expect(failure.attemptError as? Numbered == Numbered(number: 3))
    }

    @Test("Resources are lacking only if every attempt failed for lack of them")
    func resources() {
        var failure = ConnectFailure()
        #expect(!failure.isLackOfResources)
        for number in 0..<9 { fail(&failure, number, .resources) }
        #expect(failure.isLackOfResources)
        fail(&failure, 9, .refused)
        #expect(!failure.isLackOfResources)
    }

    @Test("Eight addresses are named, and the others are counted")
    func addresses() {
        var failure = ConnectFailure()
        fail(&failure, 1, .other)
        #expect(failure.triedAddresses == "192.0.2.1")
        fail(&failure, 2, .other)
        #expect(failure.triedAddresses == "192.0.2.1, 192.0.2.2")
        for number in 3..<9 { fail(&failure, number, .other) }
        #expect(failure.triedAddresses.hasSuffix("192.0.2.7, 192.0.2.8"))
        fail(&failure, 9, .other)
        #expect(failure.triedAddresses.hasSuffix("192.0.2.7, 192.0.2.8 and 1 more"))
    }

    @Test(
        "The look-up error is another one than noAddress if there is one, and IPv4's before IPv6's",
        arguments: [
            (nil, nil, .noAddress), (.noSuchHost, .noSuchHost, .noSuchHost), (.temporary, .noSuchHost, .temporary),
            (.noAddress, .temporary, .temporary), (.temporary, nil, .temporary), (nil, .noResources, .noResources),
            (.noAddress, .noAddress, .noAddress),
        ] as [(NameLookupError.Reason?, NameLookupError.Reason?, NameLookupError.Reason)])
    func lookUps(
        ipv4: NameLookupError.Reason?, ipv6: NameLookupError.Reason?, expected: NameLookupError.Reason
    ) {
        var failure = ConnectFailure()
        if let ipv6 { failure.recordLookUp(.v6, NameLookupError(ipv6)) }
        if let ipv4 { failure.recordLookUp(.v4, NameLookupError(ipv4)) }
        #expect((failure.lookUpError as? NameLookupError)?.reason == expected)
        #expect(failure.attemptError == nil)
    }

    private func fail(_ failure: inout ConnectFailure, _ number: Int, _ kind: ConnectFailure.Kind) {
        failure.record(.example(.v4, number: UInt8(number)), Numbered(number: number), kind)
    }
}
