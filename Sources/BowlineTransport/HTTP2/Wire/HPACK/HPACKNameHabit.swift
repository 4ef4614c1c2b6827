/// Says for each name whether its fields are worth an entry in the table when the caller leaves it to the encoder.
///
/// | habit | names | why |
/// |---|---|---|
/// | `repeats` | all others | one request of a client is mostly like the next |
/// | `changes` | `:path`; `content-length`, `content-range`, `range`; `date`, `age`, `expires`, `last-modified`, `etag` and the `if-` fields; `location`; digests and signatures; ids of requests and traces; `idempotency-key`, `last-event-id` | the value is of one request: an entry would hardly be used again, and would evict those that are |
/// | `secret` | `authorization`, `proxy-authorization`, `set-cookie` | no hop may keep the value where another request can be compared with it (RFC 7541 §7.1.3) |
/// | `cookie` | `cookie` | `secret` below 20 bytes, which can be guessed; else `repeats` |
enum HPACKNameHabit: UInt8, Sendable {
    case repeats
    case changes
    case secret
    case cookie
}

extension HPACKNameHabit {
    /// A cookie of fewer bytes is never indexed.
    static let guessableCookie = 20

    static let changing: [StaticString] = [
        ":path",
        "content-length", "content-range", "range",
        "date", "age", "expires", "last-modified", "etag",
        "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range",
        "location",
        "content-digest", "repr-digest", "digest", "content-md5", "signature", "signature-input", "x-amz-date",
        "x-amz-content-sha256",
        "x-request-id", "request-id", "x-correlation-id", "traceparent", "tracestate", "b3", "x-b3-traceid",
        "x-b3-spanid", "x-b3-parentspanid", "x-amzn-trace-id", "x-cloud-trace-context", "uber-trace-id",
        "idempotency-key", "last-event-id",
    ]
    static let secret: [StaticString] = ["authorization", "proxy-authorization", "set-cookie"]
}
