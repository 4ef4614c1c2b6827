import BowlineCall
import BowlineCore

/// Redirects: where `Location` fields lead, and what goes there with the request.
///
/// Content: up to four values of `Location`, with LF between them. Numbers: the URL that redirects, how the status
/// changes the request, the method, whether a redirect may lead from `https` to `http`, and how many redirects came
/// before.
enum LocationTarget {
    private static let urls = [
        "https://example.com/v1/orders?page=1", "http://example.com:8080/a/b/",
        "http+unix://%2Frun%2Fapi.sock/v1/orders",
    ]
    private static let kinds: [RedirectPolicy.Kind] = [.historical, .seeOther, .same]
    private static let methods: [HTTPRequest.Method] = [.get, .head, .post, .put]
    /// Fields for the first origin only.
    private static let secrets: [HTTPField.Name] =
        [.authorization, .cookie, .proxyAuthorization]
        + ["Host", "Cookie2", "X-Sensitive", "X-Client-Key"].compactMap { HTTPField.Name($0) }

    static func check(_ input: FuzzInput) throws {
        var input = input
        let url = try ServiceURL(urls[input.takeNumber(in: 0...2)])
        let kind = kinds[input.takeNumber(in: 0...2)]
        let method = methods[input.takeNumber(in: 0...3)]
        var options = RedirectOptions()
        options.allowsDowngrade = input.takeFlag()
        options.maximum = 3
        options.sensitiveFields = Set(secrets.filter { $0.canonicalName == "x-sensitive" })
        let followed = input.takeNumber(in: 0...3)
        let values = input.content.split(separator: 0x0A, omittingEmptySubsequences: false).prefix(4).map { Array($0) }
        guard let section = try FieldSection.received("Location", values: values) else { return }

        let policy = RedirectPolicy(
            options, clientFields: [.accept] + secrets.filter { $0.canonicalName == "x-client-key" })
        let request = Self.request(method, to: url)
        let decision = policy.decide(kind, fields: section.fields, request: request, url: url, followed: followed)
        switch decision {
        case .stop:
            let texts = section.fields.values(for: .location)
            let isNowhere = texts.allSatisfy { $0.isEmpty || ServiceURL.hasForeignScheme($0) }
            try promise(isNowhere, "a redirect to a URL is followed or refused: \(texts)")
        case .refuse(let refusal):
            try promise(FuzzGrammar.isPrintable(refusal.message), "a message has no control character")
            let isLast = refusal.code == .tooManyRedirects
            try promise(isLast == (followed == options.maximum), "after \(followed) redirects: \(refusal.message)")
        case .follow(let next):
            try promise(followed < options.maximum, "after \(followed) redirects none is followed")
            try check(next, after: request, at: url, kind, allowsDowngrade: options.allowsDowngrade)
        }
    }

    private static func request(_ method: HTTPRequest.Method, to url: ServiceURL) -> ServiceRequest {
        var request = ServiceRequest(method: method, url.absoluteString)
        if method == .post || method == .put { request.body = .text("content") }
        request.fields[.accept] = "text/plain"
        request.fields[.contentType] = "text/plain"
        for name in secrets { request.fields[name] = "secret" }
        request.url = url
        return request
    }

    private static func check(
        _ next: ServiceRequest, after request: ServiceRequest, at url: ServiceURL, _ kind: RedirectPolicy.Kind,
        allowsDowngrade: Bool
    ) throws {
        guard let target = next.url else { throw FuzzViolation("a redirect that is followed has a URL") }
        try URLTarget.checkURL(target)
        let isDowngrade = url.origin.scheme == .https && target.origin.scheme == .http
        try promise(!isDowngrade || allowsDowngrade, "\(url) leads to \(target)")
        let isSame = isSameOrigin(url.origin, target.origin)
        try promise(target.origin.socketPath == nil || isSame, "\(url) leads to a socket: \(target)")
        for name in secrets {
            try promise((next.fields[name] != nil) == isSame, "\(name) from \(url) at \(target): \(isSame)")
        }
        try promise(next.fields[.accept] == "text/plain", "a redirect keeps a field without a secret")

        let wanted = Self.method(after: request.method, kind)
        try promise(next.method == wanted, "\(request.method) becomes \(next.method), must be \(wanted)")
        let keepsContent = kind == .same || (kind == .historical && request.method != .post)
        try promise((next.fields[.contentType] != nil) == keepsContent, "a body and its fields stay together")
    }

    /// RFC 9110 §15.4, a second time.
    private static func method(after method: HTTPRequest.Method, _ kind: RedirectPolicy.Kind) -> HTTPRequest.Method {
        switch kind {
        case .same: method
        case .seeOther: method == .head ? .head : .get
        case .historical: method == .post ? .get : method
        }
    }

    /// RFC 6454 §5, and the socket.
    private static func isSameOrigin(_ one: Origin, _ other: Origin) -> Bool {
        one.scheme == other.scheme && one.host == other.host && one.port == other.port
            && one.socketPath == other.socketPath
    }
}
