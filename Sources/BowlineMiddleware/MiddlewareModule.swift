// The behaviours that wrap requests live in this module, one folder each: Retry, Redirect, Decompression, RequestCompression,
// IdempotencyKey, Authentication, Expectation, Tracing, Metrics, Logging. `XMiddleware` is the loop, `XPolicy` the decision. They know
// `BowlineCore` only: they meet the transport through `ServiceTransport`, never by import. Their order around a request
// stands in `Sources/Bowline/Client/DefaultPipeline.swift`.
