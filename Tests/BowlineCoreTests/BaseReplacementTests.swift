import BowlineCore
import Testing

@Suite("The replacement of a base URL")
struct BaseReplacementTests {
    @Test(
        "The part after the base and the query stay; a URL outside the base keeps its path",
        arguments: [
            ("http://a/v1/x?q=1", "http://a/v1", "https://b:8443/api", "https://b:8443/api/x?q=1"),
            ("http://a/v1", "http://a/v1", "http://b/api", "http://b/api"),
            ("http://a/v1/", "http://a/v1/", "http://b/api", "http://b/api"),
            ("http://a/v1/", "http://a/v1", "http://b/api", "http://b/api/"),
            ("http://a/v1/x", "http://a/v1/", "http://b/api/", "http://b/api/x"),
            ("http://a/x", "http://a", "http://b/api", "http://b/api/x"),
            ("http://a/", "http://a", "http://b/api", "http://b/api"),
            ("http://a/v1/x", "http://a/v1", "http://b", "http://b/x"),
            ("http://a/v1", "http://a/v1", "http://b", "http://b/"),
            ("http://a/v1x/y", "http://a/v1", "http://b/api", "http://b/v1x/y"),
            ("http://a/", "http://a/v1", "http://b/api", "http://b/"),
            ("http://a/v1//x", "http://a/v1", "http://b/api", "http://b/api//x"),
            ("http://a/v1/%2e%2e", "http://a/v1", "http://b/api", "http://b/"),
            ("http://a/v1/x", "http://a/v1?base=1", "http://b/api?own=1", "http://b/api/x"),
            ("http://a/v1/x", "http://a/v1", "http+unix://%2Frun%2Fx.sock/api", "http+unix://%2Frun%2Fx.sock/api/x"),
            ("http://a/v1/x?q=1", "http://a/v1", "http://b/v1", "http://b/v1/x?q=1"),
            ("http://a/v1", "http://a/v1/", "http://b/v1/", "http://b/v1/"),
            ("http://a/x", "http://a/v1", "http://b/v1", "http://b/x"),
            ("http://a/v1/%C3%A9", "http://a/v1", "http://b/%C3%A9", "http://b/%C3%A9/%C3%A9"),
        ])
    func replaced(url: String, base: String, other: String, expected: String) throws {
        let result = try ServiceURL(url).replacingBase(ServiceURL(base), by: ServiceURL(other))
        #expect(result.absoluteString == expected)
    }

    @Test("Replacing a base and then the other way round gives the URL again", arguments: ["/", "/x", "/x?a=b", "//x"])
    func roundTrip(rest: String) throws {
        let (base, other) = (try ServiceURL("http://a/v1"), try ServiceURL("https://b:1/api/v2"))
        let url = try ServiceURL("http://a/v1\(rest)")
        #expect(url.replacingBase(base, by: other).replacingBase(other, by: base) == url)
    }
}
