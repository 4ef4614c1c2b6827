public import HTTPTypes

/// Why a request, or the making of a client, failed.
///
/// One type for every layer. ``code`` is the kind of error, ``progress`` how far the request had got (so whether it may
/// be sent again), ``method`` and ``target`` name the call, ``phase`` and ``elapsed`` its phase and its time so far.
/// Cancellation of the calling task is not one of these: it surfaces as `CancellationError`.
///
/// Descriptions are bounded and carry no header value, body, query or credential; of the response's `Content-Type` the media
/// type.
public struct ServiceError: Error, Sendable {
    /// The kind of error.
    public var code: Code
    /// One sentence for a person, at most 512 bytes; names, never values.
    public var message: String
    /// The error of the layer below, if there was one. Nothing is wrapped twice.
    public var underlying: (any Error)?
    /// How far the request got.
    public var progress: RequestProgress
    /// Attempts of the last hop of the redirects, the first included; 0 if it failed before the first.
    public var attempts: Int
    /// How many requests were sent for the call: the attempts of all hops and the transport's resends. An attempt that found no
    /// connection counts. 0: none was sent, or middleware made the error.
    public var requestsSent = 0
    /// The method of the call; nil: the error did not come of one (a client that could not be made), or came through no client.
    public var method: HTTPRequest.Method?
    /// The call's target: its template, as `orders/{id}`.
    ///
    /// Of a call without a template it is nil, because a path may hold secrets and personal data; if
    /// `telemetry.namesPathsInErrors` is true, it is then the path without its query.
    public var target: String?
    /// The status of the response that the failure has to do with, as a body that ended early or could not be decoded; nil:
    /// there was none. The reason phrase is left out.
    public var status: HTTPResponse.Status?
    /// The media type that this response named in `Content-Type`, in lower case and without parameters, as `text/html`; nil if
    /// there was none, or none that is valid (RFC 9110 §8.3.1).
    public var mediaType: String?
    /// The origin that the request was for, as `scheme://host:port`.
    public var origin: String?
    /// The request's phase.
    public var phase: RequestPhase?
    /// Time from the start of the attempt to the failure.
    public var elapsed: Duration?
    /// Whether the connection had carried a request before; nil if there was none.
    public var connectionWasReused: Bool?
    /// The connection that the last attempt failed on; nil if it had none, or if the failure is not the connection's (a body
    /// that is too large, say): then the response says which it was.
    public var connection: ConnectionFacts?
    /// How often the transport sent the last attempt again because a reused connection was dead, or the peer refused it.
    public var resends = 0
    /// Whether an authenticator failed for a temporary reason: another attempt may get credentials.
    package var isPassing = false

    /// Makes an error, for middleware, transports and stubs.
    ///
    /// - Parameters:
    ///   - code: The kind of error.
    ///   - message: One sentence without values; cut if it is longer than 512 bytes.
    ///   - underlying: The error of the layer below.
    ///   - progress: How far the request got.
    ///   - attempts: Attempts made, the first included.
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
    /// `text`, cut to 512 bytes.
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
    /// Code, message, call, progress and circumstances, in one bounded line.
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
        if let elapsed { text += ", after: \(elapsed.readable)" }
        if let origin { text += ", origin: \(origin.prefix(128))" }
        if let connectionWasReused { text += connectionWasReused ? ", reused connection" : ", new connection" }
        return text + ")"
    }

    /// `GET orders/{id}`; nil: no call is known.
    private var describedCall: String? {
        guard let method else { return target.map { Self.described($0, atMost: 128) } }
        let name = Self.described(method.rawValue, atMost: 32)
        return target.map { "\(name) \(Self.described($0, atMost: 128))" } ?? name
    }

    /// A template is the program's own text; it could still have anything in it.
    private static func described(_ text: String, atMost count: Int) -> String {
        var described = ""
        for scalar in text.unicodeScalars.prefix(count) {
            described +=
                (0x20..<0x7F).contains(scalar.value) ? String(scalar) : "\\u{\(String(scalar.value, radix: 16))}"
        }
        return described
    }

    /// The description, and of ``underlying`` the type: an error that a program's own code threw may say anything.
    public var customMirror: Mirror {
        Mirror(
            self, children: ["description": description, "underlying": underlying.map { "\(type(of: $0))" } as Any])
    }
}
