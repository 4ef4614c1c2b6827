import BowlineCore
import Testing

@Suite("Queries and forms as text")
struct QueryItemsTests {
    static let texts: [(plain: String, query: String, form: String)] = [
        ("plain-._~9", "plain-._~9", "plain-._%7E9"), ("a b", "a%20b", "a+b"), ("1+1", "1%2B1", "1%2B1"),
        ("*", "%2A", "*"), ("a&b=c", "a%26b%3Dc", "a%26b%3Dc"), ("100%", "100%25", "100%25"),
        ("%41", "%2541", "%2541"), ("Grüße", "Gr%C3%BC%C3%9Fe", "Gr%C3%BC%C3%9Fe"),
        ("🪢", "%F0%9F%AA%A2", "%F0%9F%AA%A2"),
        ("\r\n", "%0D%0A", "%0D%0A"), ("\0", "%00", "%00"), ("#?/", "%23%3F%2F", "%23%3F%2F"), ("", "", ""),
        ("\"'()!", "%22%27%28%29%21", "%22%27%28%29%21"),
    ]

    @Test("Names whose bytes differ only in their normal form are other names")
    func names() {
        var items: QueryItems = ["\u{E9}": 1, "e\u{301}": 2]
        items["\u{E9}"] = 3
        #expect(items["e\u{301}"].map { "\($0)" } == "2")
        items["e\u{301}"] = nil
        #expect(items["\u{E9}"].map { "\($0)" } == "3")
        #expect(items["e\u{301}"] == nil)
    }

    @Test("Names and values are percent-encoded once: a space is %20 in a query and + in a form", arguments: texts)
    func encoding(text: (plain: String, query: String, form: String)) {
        let items: QueryItems = [text.plain: text.plain]
        #expect(items.percentEncoded == "\(text.query)=\(text.query)")
        #expect(items.formEncoded == "\(text.form)=\(text.form)")
    }

    @Test("Items keep their order and may repeat; nil values are left out, flags have no =")
    func order() {
        let cursor: String? = nil
        let page: Int? = 2
        var items: QueryItems = ["q": "x", "limit": 10, "cursor": cursor, "page": page, "full": true]
        items.append("tag", each: ["b", "a"])
        items.append(flag: "verbose")
        items.append("none", nil)
        #expect(items.percentEncoded == "q=x&limit=10&page=2&full=true&tag=b&tag=a&verbose")
        items["tag"] = "c"
        #expect(items.percentEncoded == "q=x&limit=10&page=2&full=true&tag=c&verbose")
        items["q"] = nil
        items["new"] = 1
        #expect(items.percentEncoded == "limit=10&page=2&full=true&tag=c&verbose&new=1")
        #expect(items["tag"]?.description == "c")
        #expect(items["q"] == nil)
    }

    private enum Status: String, ParameterValue, CaseIterable {
        case open
        case inProgress = "in progress"
    }

    private enum Priority: Int, ParameterValue {
        case high = 9
    }

    /// Its description is for people.
    private enum Region: String, ParameterValue {
        case wales = "GB-WLS"

        var description: String { "Wales" }
    }

    /// Provides its own text.
    private struct Page: ParameterValue {
        var number: Int

        var description: String { "page \(number)" }
        var parameterText: String { "\(number)" }
    }

    /// Has a description and nothing else.
    private struct Order: CustomStringConvertible, Sendable {
        var description: String { "order-7" }
    }

    @Test("An enum is sent as its raw value, even if its description differs")
    func rawValues() {
        let absent: Status? = nil
        let present: Status? = .open
        var items: QueryItems = [
            "status": Status.inProgress, "none": absent, "some": present, "priority": Priority.high,
            "region": Region.wales, "page": Page(number: 2), "order": Order(), "limit": 10,
        ]
        #expect(
            items.percentEncoded
                == "status=in%20progress&some=open&priority=9&region=GB-WLS&page=2&order=order-7&limit=10")
        #expect(items.formEncoded.hasPrefix("status=in+progress&"))
        items = [:]
        items.append("status", each: Status.allCases)
        items.append("region", each: [Region.wales])
        items.append("page", Page(number: 3))
        #expect(items.percentEncoded == "status=open&status=in%20progress&region=GB-WLS&page=3")
        items["status"] = Status.inProgress
        items["region"] = absent
        #expect(items.percentEncoded == "status=in%20progress&page=3")
        #expect(items["status"]?.description == "in progress")
        // An enum without a description of its own has the raw value's.
        #expect("\(Status.inProgress) \(Region.wales)" == "in progress Wales")
    }

    @Test("Generic code that knows only a value's description sends the raw value too")
    func genericValues() {
        func item(_ value: some CustomStringConvertible & Sendable) -> String {
            let items: QueryItems = ["x": value]
            return items.percentEncoded
        }
        #expect(item(Region.wales) == "x=GB-WLS")
        #expect(item(Order()) == "x=order-7")
    }

    static let references: [(reference: String, appended: String)] = [
        ("a", "a?x=1"), ("a?", "a?x=1"), ("a?b=2", "a?b=2&x=1"), ("a?b=2&", "a?b=2&x=1"), ("a#f?y", "a?x=1"),
        ("", "?x=1"), ("http://h/p?q#f", "http://h/p?q&x=1"),
    ]

    @Test("Items are appended to a reference's existing query", arguments: references)
    func appending(example: (reference: String, appended: String)) {
        let items: QueryItems = ["x": 1]
        #expect(items.appended(to: example.reference) == example.appended)
        #expect(QueryItems().appended(to: example.reference) == example.reference)
    }
}
