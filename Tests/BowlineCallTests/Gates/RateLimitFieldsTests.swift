import BowlineCore
import Testing

@testable import BowlineCall

@Suite("The fields of a service's quota")
struct RateLimitFieldsTests {
    private static func limits(_ lines: [String]) -> [RateLimitFields.ServiceLimit] {
        var limits: [RateLimitFields.ServiceLimit] = []
        RateLimitFields.forEachLimit(of: ReceivedFields(lines: lines)) { limits.append($0) }
        return limits
    }

    private static func advice(_ lines: [String], maximumPause: Duration = .seconds(30)) -> RateAdvice {
        RateLimitFields.advice(of: ReceivedFields(lines: lines)) { maximumPause }
    }

    // MARK: Reading

    /// Lines of fields, and the quotas in them.
    struct Case: Sendable, CustomTestStringConvertible {
        let lines: [String]
        let limits: [RateLimitFields.ServiceLimit]

        init(_ lines: [String], _ limits: [RateLimitFields.ServiceLimit]) {
            self.lines = lines
            self.limits = limits
        }

        var testDescription: String { lines.joined(separator: " | ") }
    }

    @Test(
        "What is left of each quota is read", .tags(.RA4),
        arguments: [
            Case([#"RateLimit: "default";r=50;t=30"#], [.limit(50, 30)]),
            Case([#"ratelimit: default;r=50;t=30"#], [.limit(50, 30)]),
            Case([#"RateLimit: "default";r=999;pk=:dHJpYWwxMjEzMjM=:"#], [.limit(999, nil)]),
            Case([#"RateLimit:   "a" ;r=1 "#], []),
            Case([#"RateLimit: "a"; r=1;  t=2 ,  "b";t=3;r=4"#], [.limit(1, 2), .limit(4, 3)]),
            Case([#"RateLimit: "a";r=1"#, #"RateLimit: "b";r=2"#], [.limit(1, nil), .limit(2, nil)]),
            Case([#"RateLimit: "a";r=7;r=8;acme-x="y";?;t=1"#], []),
            Case([#"RateLimit: "a";r=7;r=8;acme-x="y";z;t=1"#], [.limit(8, 1)]),
            Case([#"RateLimit: "a\"b\\";r=3;t=1"#, #"RateLimit-Policy: "a\"b\\";q=9;w=10"#], [.limit(3, 1, 9, 10)]),
            Case(
                [
                    #"RateLimit: "burst";r=20;t=30, "daily";r=900;t=4000"#,
                    #"RateLimit-Policy: "daily";q=1000;w=86400,"burst";q=100;w=60"#,
                ], [.limit(20, 30, 100, 60), .limit(900, 4000, 1000, 86400)]),
            Case([#"RateLimit: "a";r=20"#, #"RateLimit-Policy: "a";q=100;w=60"#], [.limit(20, nil, 100, 60)]),
            Case([#"RateLimit: "a";r=20"#, #"RateLimit-Policy: "b";q=100;w=60"#], [.limit(20, nil)]),
            Case([#"RateLimit: "a";r=20"#, #"RateLimit-Policy: "a";q=100"#], [.limit(20, nil, 100)]),
            Case([#"RateLimit: "a";r=20"#, #"RateLimit-Policy: "a";q=100;w=0"#], [.limit(20, nil, 100)]),
            Case([#"RateLimit: "a";r=20"#, #"RateLimit-Policy: "a";q=0;w=5"#], [.limit(20, nil)]),
            Case([#"RateLimit: "a";r=20"#, #"RateLimit-Policy: "a";q=100;w=60,"#], [.limit(20, nil)]),
            Case([#"RateLimit: "a";r=20;t=1"#, #"RateLimit-Policy: "a";q=100;w=60;qu="content-bytes""#], []),
            Case(
                [#"RateLimit: "a";r=20;t=1"#, #"RateLimit-Policy: "a";q=100;w=60;qu="requests""#],
                [.limit(20, 1, 100, 60)]),
            Case([#"RateLimit: "a";r=20;t=1"#, #"RateLimit-Policy: "a";q=100;w=60;qu=5"#], []),
        ])
    func reading(_ example: Case) {
        #expect(Self.limits(example.lines) == example.limits)
    }

    @Test(
        "The three fields of the earlier drafts are read", .tags(.RA4),
        arguments: [
            Case(
                [#"RateLimit-Limit: 100"#, #"RateLimit-Remaining: 50"#, #"RateLimit-Reset: 30"#], [.limit(50, 30, 100)]),
            Case(
                [#"RateLimit-Limit: 100, 100;w=60"#, #"RateLimit-Remaining: 0"#, #"RateLimit-Reset: 30"#],
                [.limit(0, 30, 100, 60)]),
            Case(
                [#"RateLimit-Limit: 10, 10;w=1, 50;w=60"#, #"RateLimit-Remaining: 9"#, #"RateLimit-Reset: 1"#],
                [.limit(9, 1, 10, 1)]),
            Case([#"RateLimit-Remaining: 5"#, #"RateLimit-Reset: 7"#], [.limit(5, 7)]),
            Case([#"RateLimit-Limit: many"#, #"RateLimit-Remaining: 5"#, #"RateLimit-Reset: 7"#], [.limit(5, 7)]),
        ])
    func earlier(_ example: Case) {
        #expect(Self.limits(example.lines) == example.limits)
    }

    @Test(
        "What cannot be read is ignored", .tags(.RA5),
        arguments: [
            [], ["RateLimit:"], ["RateLimit: ,"], [#"RateLimit: "a";r=1,"#], [#"RateLimit: "a";r=1;"#],
            [#"RateLimit: "a;r=1"#], [#"RateLimit: "a\n";r=1"#], [#"RateLimit: "a";R=1"#], [#"RateLimit: "a";r=1 "b""#],
            [#"RateLimit: ("a" "b");r=1"#], [#"RateLimit: "a";r=(1)"#], [#"RateLimit: limit=10, remaining=5, reset=3"#],
            [#"RateLimit: "a";r=-1;t=3"#], [#"RateLimit: "a";r=1.5;t=3"#], [#"RateLimit: "a";r="1";t=3"#],
            [#"RateLimit: "a";r;t=3"#], [#"RateLimit: "a";t=3"#], [#"RateLimit: "a";r=1;t=-3"#],
            [#"RateLimit: "a";r=1;t=soon"#], [#"RateLimit: "a";r=1;t=1700000000"#],
            [#"RateLimit: "a";r=1234567890123456"#], [#"RateLimit: 7;r=1;t=3"#], [#"RateLimit: "é";r=1;t=3"#],
            [#"RateLimit: "a";r=1;t=3"#, #"RateLimit: "b";r=1;t=3,"#],
            ["RateLimit-Remaining: 5"], ["RateLimit-Reset: 5"], ["RateLimit-Remaining: -5", "RateLimit-Reset: 7"],
            ["RateLimit-Remaining: 5", "RateLimit-Reset: 1700000000"],
            ["RateLimit-Remaining: 5, 6", "RateLimit-Reset: 7"],
            ["RateLimit-Remaining: five", "RateLimit-Reset: 7"], ["X-RateLimit-Remaining: 5", "X-RateLimit-Reset: 7"],
        ])
    func ignored(lines: [String]) {
        #expect(Self.limits(lines) == [])
        #expect(Self.advice(lines) == RateAdvice())
    }

    @Test("A field with very many items is ignored, so that a service cannot make the client work for long")
    func manyItems() {
        func list(_ count: Int, _ item: (Int) -> String) -> String {
            (0..<count).map(item).joined(separator: ", ")
        }
        let most = RateLimitFields.mostItems
        let limits = "RateLimit: \(list(most) { "\"\($0)\";r=\($0 + 1);t=9" })"
        let policies = "RateLimit-Policy: \(list(most) { "\"\($0)\";q=\($0 + 2)" })"
        let all = (0..<most).map { RateLimitFields.ServiceLimit.limit(Int64($0) + 1, 9, Int64($0) + 2) }
        #expect(Self.limits([limits, policies]) == all)
        #expect(Self.limits([limits, #"RateLimit: "more";r=1;t=9"#, policies]) == [])
        let unnamed = (0..<most).map { RateLimitFields.ServiceLimit.limit(Int64($0) + 1, 9) }
        #expect(Self.limits([limits, policies, #"RateLimit-Policy: "more";q=1"#]) == unnamed)
        // Two fields of 28 kB, which fit into the head of a response. The square of it would take seconds.
        let long = list(4000) { _ in "a;r=1" }
        let clock = ContinuousClock()
        let began = clock.now
        #expect(Self.advice(["RateLimit: \(long)", "RateLimit-Policy: \(long)"]) == RateAdvice())
        #expect(clock.now - began < .seconds(1))
    }

    @Test(
        "Bare items of every kind are read as parameters that are not needed",
        arguments: [
            "1", "-1", "1.5", "-0.125", #""text""#, "token/1:x", "*", "?0", "?1", ":aGk=:", "::", "@1700000000",
            #"%"f%c3%bc""#,
        ])
    func bareItems(item: String) {
        #expect(Self.limits([#"RateLimit: "a";x=\#(item);r=1;t=2"#]) == [.limit(1, 2)])
    }

    @Test(
        "Bare items with an error make the field unreadable", .tags(.RA5),
        arguments: [
            "", "-", "1.", "1.1234", "1234567890123.1", "1e5", #""text"#, "?2", "?", ":a", ":a b:", "@", "@1.5",
            #"%"a"#, #"%"%C3""#,
            "%a", "é",
        ])
    func badItems(item: String) {
        #expect(Self.limits([#"RateLimit: "a";x=\#(item);r=1;t=2"#]) == [])
    }

    // MARK: Advice

    @Test("A quota that is used up is a pause until its window ends, at most the longest pause", .tags(.RA4))
    func usedUp() {
        #expect(Self.advice([#"RateLimit: "a";r=0;t=12"#]) == RateAdvice(pause: .seconds(12)))
        #expect(Self.advice([#"RateLimit: "a";r=0;t=86400"#]) == RateAdvice(pause: .seconds(30)))
        #expect(Self.advice([#"RateLimit: "a";r=0;t=12"#], maximumPause: .zero) == RateAdvice())
        // Without a window, the time is not known, unless the policy has one.
        #expect(Self.advice([#"RateLimit: "a";r=0"#]) == RateAdvice())
        #expect(
            Self.advice([#"RateLimit: "a";r=0"#, #"RateLimit-Policy: "a";q=5;w=9"#]) == RateAdvice(pause: .seconds(9)))
        #expect(
            Self.advice(["RateLimit-Limit: 5", "RateLimit-Remaining: 0", "RateLimit-Reset: 4"])
                == RateAdvice(pause: .seconds(4)))
    }

    @Test("A quota is low if a smaller share of it is left than of its window", .tags(.RA4))
    func low() {
        let policy = #"RateLimit-Policy: "a";q=100;w=60"#
        #expect(Self.advice([#"RateLimit: "a";r=50;t=30"#, policy]).quota == .ample)
        #expect(
            Self.advice([#"RateLimit: "a";r=49;t=30"#, policy]).quota == .low(remaining: 49, window: .seconds(30)))
        // Without the size of the quota it is always low; without its window, below half.
        #expect(Self.advice([#"RateLimit: "a";r=5000;t=30"#]).quota == .low(remaining: 5000, window: .seconds(30)))
        let sized = #"RateLimit-Policy: "a";q=100"#
        #expect(Self.advice([#"RateLimit: "a";r=50;t=30"#, sized]).quota == .ample)
        #expect(Self.advice([#"RateLimit: "a";r=49;t=30"#, sized]).quota == .low(remaining: 49, window: .seconds(30)))
    }

    @Test("Of several quotas, the one with the lowest rate counts, and one that is used up pauses besides", .tags(.RA4))
    func several() {
        let advice = Self.advice([#"RateLimit: "a";r=100;t=10, "b";r=30;t=10, "c";r=0;t=2, "d";r=50;t=10"#])
        #expect(advice == RateAdvice(pause: .seconds(2), quota: .low(remaining: 30, window: .seconds(10))))
    }
}

extension RateLimitFields.ServiceLimit {
    fileprivate static func limit(
        _ remaining: Int64, _ window: Int64?, _ quota: Int64? = nil, _ whole: Int64? = nil
    ) -> Self {
        Self(
            remaining: remaining, window: window,
            policy: quota.map { RateLimitFields.Policy(quota: $0, window: whole) })
    }
}
