internal import BowlineCore
internal import BowlineTransport

extension ClientConfiguration {
    /// Fields that describe one body. A client cannot set them for the bodies of all requests.
    private static let bodyFields: [HTTPField.Name] = [.contentLength, .transferEncoding]

    /// Returns a problem for each name whose fields cannot be sent with any request.
    func fieldProblems() -> [ConfigurationProblem] {
        fields.distinctNames.compactMap { name in
            let reason: String? =
                Self.bodyFields.contains(name)
                ? "\(name) depends on the request's body, and is written for each request"
                : Self.refusal(of: HTTPFields(fields[fields: name]))
            return reason.map { ConfigurationProblem("fields", $0) }
        }
    }

    /// Returns the reason why a request with these fields is not sent; nil: it is sent. Asks the transport's own check,
    /// about a request that has no other fault.
    private static func refusal(of fields: HTTPFields) -> String? {
        do throws(RequestCheckError) {
            _ = try CheckedRequest(method: "GET", target: "/", authority: "", fields: fields)
            return nil
        } catch {
            return error.description
        }
    }
}
