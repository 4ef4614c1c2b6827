/// How the encoder represents fields of a name, if the caller leaves the choice to it.
///
/// Once the table is full, every new entry evicts an older one. So if a value does not come again, its entry costs more
/// than it saves.
enum HPACKIndexingHabit: UInt8, Sendable {
    /// The value is expected again, so it is indexed. This applies to all names that are not listed below, because
    /// consecutive requests of a client are similar.
    case repeats
    /// The value belongs to one request, so an entry would hardly be used again. Written as literals without indexing.
    case changes
    /// No hop may store the value in a table, because an attacker could compare other values with the entry (RFC 7541
    /// §7.1.3). Written as never-indexed literals.
    case secret
}

extension HPACKIndexingHabit {
    static let changingNames: [StaticString] = [
        // The resource, and which version or part of it.
        ":path", "location", "etag", "last-modified", "expires", "age", "date",
        "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range",
        // The content.
        "content-length", "content-range", "content-digest", "repr-digest", "digest", "content-md5",
        // Signatures, which cover a date or the content.
        "signature", "signature-input", "x-amz-date", "x-amz-content-sha256",
        // The id of the request, or its position in a trace.
        "idempotency-key", "last-event-id", "x-request-id", "request-id", "x-correlation-id",
        "traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-amzn-trace-id",
        "x-cloud-trace-context", "uber-trace-id",
    ]
    static let secretNames: [StaticString] = ["authorization", "proxy-authorization", "cookie", "set-cookie"]
}
