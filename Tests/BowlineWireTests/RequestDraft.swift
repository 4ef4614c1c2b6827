import BowlineTransport
import HTTPTypes

/// A request that has yet to be checked, for tables of tests.
struct RequestDraft: Sendable {
    var method: String
    var target: String
    var host: String
    var fields: HTTPFields
    var framing: RequestFraming
    var hasContent: Bool
    var close: Bool
    var expect: Bool

    init(
        _ method: String = "GET", target: String = "/", host: String = "h", fields: [(String, String)] = [],
        framing: RequestFraming = .none, hasContent: Bool = true, close: Bool = false, expect: Bool = false
    ) {
        self.method = method
        self.target = target
        self.host = host
        self.fields = HTTPFields()
        for (name, value) in fields {
            guard let name = HTTPField.Name(name) else { continue }
            self.fields.append(HTTPField(name: name, lenientValue: Array(value.utf8)))
        }
        self.framing = framing
        self.hasContent = hasContent
        self.close = close
        self.expect = expect
    }

    func checked() throws(RequestCheckError) -> CheckedRequest {
        try CheckedRequest(
            method: method, target: target, authority: host, fields: fields, framing: framing, hasContent: hasContent,
            connectionClose: close, expectContinue: expect)
    }
}
