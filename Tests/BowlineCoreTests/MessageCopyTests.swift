import BowlineCore
import NIOCore
import Testing

@Suite("Requests and responses are values")
struct MessageCopyTests {
    /// A request, and a copy of it in which each property was changed.
    private func requestAndChangedCopy() throws -> (original: ServiceRequest, copy: ServiceRequest) {
        var original = ServiceRequest(method: .get, "a", fields: [.accept: "x"])
        original.options.allowsResend = false
        var copy = original
        copy.method = .put
        copy.reference = "b"
        copy.fields[.accept] = "y"
        copy.body = .text("body")
        copy.options.allowsResend = true
        copy.url = try ServiceURL("http://a/b")
        return (original, copy)
    }

    @Test("Changing a copy of a request leaves each property of the original as it was")
    func request() throws {
        let original = try requestAndChangedCopy().original
        #expect(original.method == .get)
        #expect(original.reference == "a")
        #expect(original.fields[.accept] == "x")
        #expect(original.body.length == 0)
        #expect(!original.options.allowsResend)
        #expect(original.url == nil)
    }

    @Test("A changed copy of a request has each property that was set")
    func changedCopy() throws {
        let copy = try requestAndChangedCopy().copy
        #expect(copy.method == .put)
        #expect(copy.reference == "b")
        #expect(copy.fields[.accept] == "y")
        #expect(copy.body.length == 4)
        #expect(copy.options.allowsResend)
        #expect(copy.url?.path == "/b")
    }

    @Test("changing a copy of a response leaves the original as it was, property by property")
    func response() {
        let original = ServiceResponse(status: .ok, fields: [.server: "x"], facts: ResponseFacts(attempts: 1))
        var copy = original
        copy.status = .notFound
        copy.fields[.server] = "y"
        copy.facts.attempts = 2
        #expect(original.status == .ok)
        #expect(original.fields[.server] == "x")
        #expect(original.attempts == 1)
        #expect(copy.status == .notFound)
        #expect(copy.fields[.server] == "y")
        #expect(copy.attempts == 2)
    }

    @Test(
        "The nanoseconds of a duration follow from its components, rounded towards zero and clamped",
        arguments: [
            .zero, .nanoseconds(1), .nanoseconds(-1), .seconds(30), .seconds(-30), .milliseconds(1500),
            .nanoseconds(Int64.max),
            .nanoseconds(Int64.min), Duration(secondsComponent: 18, attosecondsComponent: 446_744_073_709_551_616),
            Duration(secondsComponent: 4, attosecondsComponent: 999_999_999_999_999_999),
            Duration(secondsComponent: -4, attosecondsComponent: -999_999_999_999_999_999),
            Duration(secondsComponent: 9_223_372_035, attosecondsComponent: 999_999_999_999_999_999),
        ]
    )
    func nanoseconds(duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let whole = Int128(seconds) * 1_000_000_000 + Int128(attoseconds / 1_000_000_000)
        let bound = Int128(Int64.max)
        // The last fraction of a second before the bound is clamped too.
        let isNearBound = abs(seconds) >= 9_223_372_036
        #expect(isNearBound || Int128(duration.saturatingNanoseconds) == min(max(whole, -bound - 1), bound))
    }
}
