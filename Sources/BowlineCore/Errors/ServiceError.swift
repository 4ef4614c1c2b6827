public import HTTPTypes

/// The error of a request that failed, or of a client that could not be made.
///
/// All layers throw this one type. ``code`` is the kind of error. ``progress`` says how far the request got. From this
/// you know whether it may be sent again. ``method`` and ``target`` name the call. ``phase`` and ``elapsed`` say in
/// which phase and after how much time it failed. Cancellation of the calling task is not a `ServiceError`: the call
/// throws `CancellationError`.
///
/// Descriptions have a limited length. They contain no header value, body, query or credential, with one exception: the
/// media type of the response's `Content-Type`.
public struct ServiceError: Error, Sendable {
    /// The kind of error.
    public var code: Code
    /// One sentence for a person, at most 512 bytes. It contains names, never values.
    public var message: String
    /// The error that caused this error; nil: there was none. An error is never wrapped twice.
    public var underlying: (any Error)?
    /// How far the request got.
    public var progress: RequestProgress
    /// The number of attempts of the last hop, the first attempt included. 0 if the call failed before its first
    /// attempt.
    public var attempts: Int
    /// How many requests were sent for the call: the attempts of all hops and the transport's resends. An attempt that
    /// got no connection counts too. 0: no request was sent, or middleware made the error.
    public var requestsSent = 0
    /// The method of the call; nil: the error belongs to no call of a client, for example because the client could not
    /// be made.
    public var method: HTTPRequest.Method?
    /// The call's target: its template, for example `orders/{id}`.
    ///
    /// For a call without a template, the target is nil, because a path may contain secrets and personal data. If
    /// `telemetry.namesPathsInErrors` is true, the target is the path without its query.
    public var target: String?
    /// The status of the response, if the failure belongs to a response, for example if the body ended early or could
    /// not be decoded. Else nil. The reason phrase is left out.
    public var status: HTTPResponse.Status?
    /// The media type in this response's `Content-Type`, in lower case and without parameters, for example `text/html`;
    /// nil: there is none, or it is not valid (RFC 9110 §8.3.1).
    public var mediaType: String?
    /// The origin of the request, in the form `scheme://host:port`.
    public var origin: String?
    /// The request's phase when it failed.
    public var phase: RequestPhase?
    /// The time from the start of the attempt to the failure.
    public var elapsed: Duration?
    /// Whether the connection had carried a request before; nil: there was no connection.
    public var connectionWasReused: Bool?
    /// The connection on which the last attempt failed; nil: there was no connection, or the connection did not cause
    /// the failure, for example if a body is too large. In the second case ``ServiceResponse/connection`` names the
    /// connection.
    public var connection: ConnectionFacts?
    /// How many times the transport resent the last attempt, because a reused connection was dead or the peer refused
    /// the request.
    public var resends = 0
    /// The gate that refused the attempt; nil: no gate refused it.
    public var refusal: GateRefusal?
    /// After which time the client may try again, as the gate or the service said; nil: not known.
    public var retryAfter: Duration? { refusal?.retryAfter }
    /// Whether an authenticator failed for a temporary reason: another attempt may get credentials.
    package var isTemporary = false

    /// Makes an error, for middleware, transports and stubs.
    ///
    /// - Parameters:
    ///   - code: The kind of error.
    ///   - message: One sentence without values. It is cut if it is longer than 512 bytes.
    ///   - underlying: The error of the layer below.
    ///   - progress: How far the request got.
    ///   - attempts: The number of attempts, the first attempt included.
    ///   - origin: The request's origin.
    ///   - phase: The request's phase.
    public init(
        _ code: Code,
        _ message: String,
        underlying: (any Error)? = nil,
        progress: RequestProgress = .neverSent,
        attempts: Int = 0,
        origin: String? = nil,
        phase: RequestPhase? = nil
    ) {
        self.code = code
        self.message = Self.bounded(message)
        self.underlying = underlying
        self.progress = progress
        self.attempts = attempts
        self.origin = origin
        self.phase = phase
    }
}

extension ServiceError {
    /// Returns `text`, cut to 512 bytes.
    private static func bounded(_ text: String) -> String {
        guard text.utf8.count > 512 else { return text }
        var scalars = String.UnicodeScalarView()
        var count = 0
        for scalar in text.unicodeScalars {
            count += UTF8.width(scalar)
            if count > 509 { break }
            scalars.append(scalar)
        }
        return String(scalars) + "…"
    }
}

extension ServiceError: CustomStringConvertible, CustomReflectable {
    /// Code, message, call, progress and further facts, in one line of limited length.
    public var description: String {
        var text = "\(code): \(message) ("
        if let call = describedCall { text += "\(call), " }
        if let status {
            text += "status: \(status.code)"
            if let mediaType { text += " \(mediaType.prefix(128))" }
            text += ", "
        }
        text += "progress: \(progress.rawValue)"
        if let phase { text += ", phase: \(phase)" }
        if attempts > 0 { text += ", attempt: \(attempts)" }
        if let elapsed { text += ", after: \(elapsed.messageText)" }
        if let origin { text += ", origin: \(origin.prefix(128))" }
        if let connectionWasReused { text += connectionWasReused ? ", reused connection" : ", new connection" }
        return text + ")"
    }

    /// The call, for example `GET orders/{id}`; nil: no call is known.
    private var describedCall: String? {
        guard let method else { return target.map { Self.described($0, atMost: 128) } }
        let name = Self.described(method.rawValue, atMost: 32)
        return target.map { "\(name) \(Self.described($0, atMost: 128))" } ?? name
    }

    /// Returns the first `count` characters of `text`. Escapes characters that are not printable ASCII: a template is
    /// the program's own text, but may contain anything.
    private static func described(_ text: String, atMost count: Int) -> String {
        var described = ""
        for scalar in text.unicodeScalars.prefix(count) {
            described +=
                (0x20..<0x7F).contains(scalar.value) ? String(scalar) : "\\u{\(String(scalar.value, radix: 16))}"
        }
        return described
    }

    /// The description, and only the type of ``underlying``: the description of an error from the program's own code
    /// may contain anything.
    public var customMirror: Mirror {
        Mirror(
            self, children: ["description": description, "underlying": underlying.map { "\(type(of: $0))" } as Any])
    }
}
