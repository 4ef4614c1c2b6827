/// Says for each name whether its fields are worth an entry in the table when the caller leaves it to the encoder.
///
/// Every entry evicts an older one once the table is full, so a value that does not come again costs more than it
/// saves.
enum HPACKNameHabit: UInt8, Sendable {
    /// All names that are not listed: one request of a client is mostly like the next.
    case repeats
    /// The value belongs to one request, so an entry would hardly be used again: literals without indexing.
    case changes
    /// No hop may keep the value where another request can be compared with it (RFC 7541 §7.1.3): never-indexed
    /// literals.
    case secret
}

extension HPACKNameHabit {
    static let changingNames: [StaticString] = [
        // The resource, and which version or part of it.
        ":path", "location", "etag", "last-modified", "expires", "age", "date",
        "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range",
        // The content.
        "content-length", "content-range", "content-digest", "repr-digest", "digest", "content-md5",
        // Signatures, which cover a date or the content.
        "signature", "signature-input", "x-amz-date", "x-amz-content-sha256",
        // The request's own id, or its place in a trace.
        "idempotency-key", "last-event-id", "x-request-id", "request-id", "x-correlation-id",
        "traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-amzn-trace-id",
        "x-cloud-trace-context", "uber-trace-id",
    ]
    static let secretNames: [StaticString] = ["authorization", "proxy-authorization", "cookie", "set-cookie"]
}
