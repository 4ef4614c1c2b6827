import BowlineCore
import Foundation
import Testing

@testable import Bowline

@Suite("Docs/Defaults.md")
struct DefaultsDocumentTests {
    @Test("Docs/Defaults.md lists every knob of a client with its default, and no other")
    func clientDefaults() throws {
        let documented = try defaults(under: "## The client: `ClientConfiguration`")
        var actual = Knobs.values(of: ClientConfiguration(), special: ["surroundings", "encoder", "decoder"])
        // A clock, a closure and a coder have no value to write down. The test checks that they are set.
        actual["clock"] = "MonotonicClock()"
        actual["random"] = "the system's generator"
        #expect(ClientConfiguration().clock is MonotonicClock)
        for coder in ["encoder", "decoder"] { actual[coder] = "JSON" }
        #expect(ClientConfiguration().encoder is JSONEncoder)
        #expect(ClientConfiguration().decoder is JSONDecoder)
        expectSame(documented, actual)
    }

    @Test("Docs/Defaults.md lists every knob of the resilience policies with its default, and no other")
    func resilienceDefaults() throws {
        let documented = try defaults(under: "### Resilience policies")
        var actual = Knobs.values(of: RateOptions(), at: "resilience.rate")
        let groups: [(String, Any)] = [
            ("concurrency", ConcurrencyOptions()), ("breaker", BreakerOptions()), ("hedging", HedgingOptions()),
            ("balancing", BalancingOptions()),
        ]
        for (name, options) in groups {
            actual.merge(Knobs.values(of: options, at: "resilience.\(name)")) { first, _ in first }
        }
        // The description of a duration within an enumeration is Swift's own.
        actual["resilience.hedging.delay"] = ".percentile(0.95, atLeast: 10 ms)"
        #expect(HedgingOptions().delay == .percentile(0.95, atLeast: .milliseconds(10)))
        expectSame(documented, actual)
    }

    @Test(
        "`.standard` switches on the breaker, the adaptive limit and the shared Retry-After, with their defaults",
        .tags(.GA9))
    func standard() {
        let standard = ResilienceOptions.standard
        #expect(standard.breaker == BreakerOptions())
        #expect(standard.concurrency == ConcurrencyOptions())
        #expect(standard.sharesRetryAfter)
        #expect(standard.rate == nil)
        #expect(standard.hedging == nil)
        #expect(standard.balancing == nil)
    }

    @Test("Docs/Defaults.md lists every option of a request with its default, and no other")
    func requestDefaults() throws {
        let documented = try defaults(under: "## One request: `RequestOptions`")
        expectSame(documented, Knobs.values(of: RequestOptions(), at: "options"))
    }

    @Test("Docs/Defaults.md lists what each preset of the pool changes, and no more")
    func presets() throws {
        let presets: [(String, PoolOptions)] = [
            ("`.highThroughput`", .highThroughput), ("`.lowMemory`", .lowMemory),
            ("`.manyDestinations`", .manyDestinations),
        ]
        let rows = try MarkdownDocument("Docs/Defaults.md").rows(under: "## Presets of the pool")
        #expect(Set(rows.map { $0[0] }) == Set(presets.map(\.0)))
        let usual = Knobs.values(of: PoolOptions(), at: "pool")
        for (name, options) in presets {
            let documented = rows.filter { $0[0] == name }.map { (unquoted($0[1]), $0[2]) }
            let changed = Knobs.values(of: options, at: "pool").filter { usual[$0.key] != $0.value }
            expectSame(Dictionary(uniqueKeysWithValues: documented), changed)
        }
    }

    @Test("Docs/Defaults.md says `–` for nil exactly where a knob cannot be nil")
    func nilColumn() throws {
        let rows = try MarkdownDocument("Docs/Defaults.md").rows(under: "## The client: `ClientConfiguration`")
        let optional = Knobs.optionalPaths(of: ClientConfiguration())
        for row in rows {
            #expect((row[4] != "–") == optional.contains(unquoted(row[0])), "\(row[0])")
        }
    }

    @Test("Docs/Defaults.md says the range that the code checks, for each knob that declares one")
    func ranges() throws {
        let declared =
            Knobs.ranges(Timeouts.knobs, at: "timeouts") + Knobs.ranges(RetryOptions.knobs, at: "retry")
            + Knobs.ranges(RetryBackoff.knobs, at: "retry.backoff")
            + Knobs.ranges(RetryBudgetOptions.knobs, at: "retry.budget")
            + Knobs.ranges(RedirectOptions.knobs, at: "redirect")
            + Knobs.ranges(DecompressionOptions.knobs, at: "decompression")
            + Knobs.ranges(PoolOptions.knobs, at: "pool") + Knobs.ranges(ConnectionOptions.knobs, at: "connection")
            + Knobs.ranges(HTTP2Options.knobs, at: "http2") + Knobs.ranges(TLSOptions.knobs, at: "tls")
            + Knobs.ranges(LifecycleOptions.knobs, at: "lifecycle") + resilienceRanges
        let ranges = Dictionary(uniqueKeysWithValues: declared)
        let document = try MarkdownDocument("Docs/Defaults.md")
        let rows = try document.rows(under: "## The client: `ClientConfiguration`")
        for row in try rows + document.rows(under: "### Resilience policies") {
            let path = unquoted(row[0])
            let range =
                if ["Duration", "Int"].contains(Knobs.typeNames[path]) {
                    try #require(ranges[path], "\(path) declares no range")
                } else {
                    ranges[path] ?? row[3]
                }
            // A limit that depends on another knob follows a comma.
            #expect(row[3] == range || row[3].hasPrefix("\(range), "), "\(path)")
        }
        for row in try document.rows(under: "## One request: `RequestOptions`") {
            guard let range = ranges[String(unquoted(row[0]).dropFirst("options.".count))] else { continue }
            #expect(row[3] == range, "\(row[0])")
        }
    }

    private var resilienceRanges: [(String, String)] {
        Knobs.ranges(RateOptions.knobs, at: "resilience.rate")
            + Knobs.ranges(ConcurrencyOptions.knobs, at: "resilience.concurrency")
            + Knobs.ranges(BreakerOptions.knobs, at: "resilience.breaker")
            + Knobs.ranges(HedgingOptions.knobs, at: "resilience.hedging")
            + Knobs.ranges(BalancingOptions.knobs, at: "resilience.balancing")
    }

    @Test("Each knob has the name of its own property")
    func names() {
        Knobs.expectOwnNames(ResilienceOptions.knobs)
        Knobs.expectOwnNames(RateOptions.knobs)
        Knobs.expectOwnNames(ConcurrencyOptions.knobs)
        Knobs.expectOwnNames(BreakerOptions.knobs)
        Knobs.expectOwnNames(HedgingOptions.knobs)
        Knobs.expectOwnNames(BalancingOptions.knobs)
        Knobs.expectOwnNames(Timeouts.knobs)
        Knobs.expectOwnNames(RetryOptions.knobs)
        Knobs.expectOwnNames(RetryBackoff.knobs)
        Knobs.expectOwnNames(RetryBudgetOptions.knobs)
        Knobs.expectOwnNames(RedirectOptions.knobs)
        Knobs.expectOwnNames(DecompressionOptions.knobs)
        Knobs.expectOwnNames(PoolOptions.knobs)
        Knobs.expectOwnNames(ConnectionOptions.knobs)
        Knobs.expectOwnNames(HTTP2Options.knobs)
        Knobs.expectOwnNames(TLSOptions.knobs)
        Knobs.expectOwnNames(LifecycleOptions.knobs)
        Knobs.expectOwnNames(TelemetryOptions.knobs)
    }

    private func defaults(under heading: String) throws -> [String: String] {
        let rows = try MarkdownDocument("Docs/Defaults.md").rows(under: heading)
        for row in rows {
            try #require(row.count == 6, "\(row)")
            #expect(!row[5].isEmpty, "\(row)")
        }
        let paths = rows.map { unquoted($0[0]) }
        #expect(Set(paths).count == paths.count, "a knob is listed twice")
        return Dictionary(rows.map { (unquoted($0[0]), $0[1]) }) { first, _ in first }
    }

    private func expectSame(_ documented: [String: String], _ actual: [String: String]) {
        for path in Set(documented.keys).union(actual.keys).sorted() {
            #expect(documented[path] == actual[path], "\(path)")
        }
    }

    private func unquoted(_ cell: String) -> String {
        cell.filter { $0 != "`" }
    }
}

/// A group of knobs that may be nil as a whole.
private protocol OptionalKnobs {
    var present: Any? { get }
}

extension Optional: OptionalKnobs where Wrapped == RetryBudgetOptions {
    var present: Any? { map { $0 as Any } }
}

/// The stored properties of nested value structs, by path, with their values as `Docs/Defaults.md` writes them.
private enum Knobs {
    /// - Parameter special: Paths without a value to write down; they are left out.
    static func values(of root: Any, at path: String = "", special: Set<String> = []) -> [String: String] {
        var found: [String: String] = [:]
        walk(root, path) { path, value in
            if !special.contains(path) { found[path] = written(value) }
        }
        return found
    }

    static func optionalPaths(of root: Any) -> Set<String> {
        var found: Set<String> = []
        walk(root, "") { path, value in
            if Mirror(reflecting: value).displayStyle == .optional { found.insert(path) }
        }
        return found
    }

    /// The types of a client's knobs, without the `?` of those that may be nil.
    static var typeNames: [String: String] {
        var found: [String: String] = [:]
        walk(ClientConfiguration(), "") { path, value in
            let name = "\(type(of: value))"
            found[path] = name.hasPrefix("Optional<") ? String(name.dropFirst(9).dropLast()) : name
        }
        return found
    }

    /// The ranges that knobs declare, by path, as `Docs/Defaults.md` writes them.
    static func ranges<Options>(_ knobs: [OptionKnob<Options>], at path: String) -> [(String, String)] {
        knobs.compactMap { knob in
            let range: String? =
                switch knob.property {
                case .integer(_, let range), .optionalInteger(_, let range): range.knobText
                case .duration(_, let range), .optionalDuration(_, let range): range.text
                case .number(_, let range): range.knobText
                case .integers(_, let range): "\(range.knobText) each"
                case .words(let words, _): words.map { "`.\($0)`" }.joined(separator: ", ")
                case .flag, .optionalAddress, .other: nil
                }
            return range.map { ("\(path).\(knob.name)", $0) }
        }
    }

    /// Changes each property through its knob, and expects that only the property with the knob's name has changed.
    static func expectOwnNames<Options: ConfigurableOptions>(_ knobs: [OptionKnob<Options>]) {
        let defaults = values(of: Options())
        for knob in knobs {
            var options = Options()
            switch knob.property {
            case .flag(let property): options[keyPath: property].toggle()
            case .integer(let property, _): options[keyPath: property] += 1
            case .optionalInteger(let property, _): options[keyPath: property] = 4321
            case .duration(let property, _): options[keyPath: property] += .seconds(4321)
            case .optionalDuration(let property, _): options[keyPath: property] = .seconds(4321)
            case .number(let property, _): options[keyPath: property] += 1
            case .optionalAddress(let property): options[keyPath: property] = IPAddress("192.0.2.1")
            case .integers(let property, _): options[keyPath: property] = [4321]
            case .words(let words, let set):
                if let last = words.last { set(last, &options) }
            case .other: continue
            }
            let changed = values(of: options).filter { defaults[$0.key] != $0.value }
            #expect(Array(changed.keys) == [knob.name], "\(Options.self)")
        }
    }

    private static func walk(_ value: Any, _ path: String, _ visit: (String, Any) -> Void) {
        for case (let label?, let child) in Mirror(reflecting: value).children {
            let childPath = path.isEmpty ? label : "\(path).\(label)"
            // A group that is set by default, and could be nil, is listed by its own knobs.
            let present = (child as? any OptionalKnobs)?.present ?? child
            let isGroup = Mirror(reflecting: present).displayStyle == .struct && !isLeaf(present)
            if isGroup { walk(present, childPath, visit) } else { visit(childPath, child) }
        }
    }

    private static func isLeaf(_ value: Any) -> Bool {
        value is Duration || value is Int || value is Bool || value is String || value is any ServiceClock
            || value is HTTPFields || value is IPAddress
    }

    private static func written(_ value: Any) -> String {
        let mirror = Mirror(reflecting: value)
        if let fields = value as? HTTPFields { return fields.isEmpty ? "[]" : "\(fields)" }
        switch mirror.displayStyle {
        case .optional: return mirror.children.first.map { written($0.value) } ?? "nil"
        case .set:
            let elements = mirror.children.map { "\($0.value)" }.sorted()
            return elements.isEmpty ? "[]" : elements.joined(separator: ", ")
        case .collection: return mirror.children.isEmpty ? "[]" : "\(value)"
        case .enum: return ".\(value)"
        default: break
        }
        guard let duration = value as? Duration else { return "\(value)" }
        let (seconds, attoseconds) = duration.components
        let milliseconds = attoseconds / 1_000_000_000_000_000
        return attoseconds == 0 ? "\(seconds) s" : "\(seconds * 1000 + milliseconds) ms"
    }
}
