import BowlineCore
import BowlinePlatform
import Foundation
import NIOCore
import Testing

@testable import BowlineTransport

@Suite("The error of a dial whose connect failed")
struct DialErrorTests {
    @Test("A refusal decides the code, and the message names the addresses")
    func refused() throws {
        let failure = try failure([("127.0.0.1", ECONNREFUSED), ("::1", ENETUNREACH)])
        let error = try serviceError(failure)
        #expect(error.code == .connectionRefused)
        #expect(error.message == "the peer refused the connection (tried 127.0.0.1, ::1)")
        #expect((error.underlying as? IOError)?.errnoCode == ECONNREFUSED)
        #expect(error.phase == .connecting)
    }

    @Test("A refusal decides the code, even if another address failed first")
    func refusedLater() throws {
        let failure = try failure([("::1", ENETUNREACH), ("127.0.0.1", ECONNREFUSED)])
        let error = try serviceError(failure)
        #expect(error.code == .connectionRefused)
        #expect(error.message == "the peer refused the connection (tried ::1, 127.0.0.1)")
    }

    @Test("Without a refusal the first error decides")
    func unreachable() throws {
        let failure = try failure([("::1", ENETUNREACH), ("127.0.0.1", EHOSTUNREACH)])
        let error = try serviceError(failure)
        #expect(error.code == .connectFailed)
        #expect(error.message.hasPrefix("the connection could not be established: "))
        #expect(error.message.hasSuffix(" (tried ::1, 127.0.0.1)"))
        #expect((error.underlying as? IOError)?.errnoCode == ENETUNREACH)
    }

    @Test("The error of a dial to a chosen address names the address once")
    func chosenAddress() throws {
        let route = Route(try ServiceURL("https://example.com").origin, address: try #require(IPAddress("192.0.2.1")))
        let refusal = try failure([("192.0.2.1", ECONNREFUSED)])
        let causes: [(any Error, DialStep)] = [
            (refusal, .connect), (DialFailure.timedOut, .secure), (DialFailure.http2NotOffered, .secure),
        ]
        for (cause, step) in causes {
            let error = ServiceError.dialFailed(cause, step: step, route: route, limit: .seconds(10))
            #expect(error.message.components(separatedBy: "192.0.2.1").count == 2, "\(error.message)")
            #expect(error.origin == "https://example.com:443")
            #expect(error.progress == .neverSent)
        }
    }

    @Test("If no address was found, the message has the reason of the look-up")
    func notFound() throws {
        var failure = ConnectFailure()
        failure.recordLookUp(.v6, NameLookupError(.noAddress))
        failure.recordLookUp(.v4, NameLookupError(.temporary))
        let error = try serviceError(failure)
        #expect(error.code == .nameResolutionFailed)
        let reason = NameLookupError(.temporary)
        #expect(error.message == "the host name could not be resolved: \(reason)")
        #expect(error.underlying as? NameLookupError == reason)
    }

    @Test("The message of a hundred addresses is bounded")
    func bounded() throws {
        let failure = try failure((0..<100).map { ("2001:db8:1111:2222:3333:4444:5555:\($0)", ETIMEDOUT) })
        let error = try serviceError(failure)
        #expect(error.message.utf8.count < 700)
        #expect(error.message.hasSuffix(" and 92 more)"))
    }

    @Test("A connect fails for lack of resources only if each of its attempts does, or its look-ups do")
    func causes() throws {
        #expect(DialFailureCause(try failure([("::1", EMFILE), ("127.0.0.1", ENOBUFS)])) == .resources)
        #expect(DialFailureCause(try failure([("::1", EMFILE), ("127.0.0.1", ECONNREFUSED)])) == .peer)
        #expect(DialFailureCause(try failure([("::1", ETIMEDOUT)])) == .peer)
        var unresolved = ConnectFailure()
        #expect(DialFailureCause(unresolved) == .peer)
        unresolved.recordLookUp(.v4, NameLookupError(.noResources))
        #expect(DialFailureCause(unresolved) == .resources)
    }

    @Test(
        "The kind of an attempt's error follows its code",
        arguments: [
            (ECONNREFUSED, .refused), (EMFILE, .resources), (EADDRNOTAVAIL, .resources), (ETIMEDOUT, .other),
        ] as [(CInt, ConnectFailure.Kind)])
    func kinds(code: CInt, kind: ConnectFailure.Kind) {
        #expect(ConnectFailure.Kind(IOError(errnoCode: code, reason: "connect")) == kind)
    }

    private func failure(_ attempts: [(String, CInt)]) throws -> ConnectFailure {
        var failure = ConnectFailure()
        for (text, code) in attempts {
            let error = IOError(errnoCode: code, reason: "connect")
            failure.record(try #require(IPAddress(text)), error, ConnectFailure.Kind(error))
        }
        return failure
    }

    private func serviceError(_ failure: ConnectFailure) throws -> ServiceError {
        let origin = try ServiceURL("http://example.com").origin
        return .dialFailed(failure, step: .connect, route: Route(origin), limit: .seconds(10))
    }
}
