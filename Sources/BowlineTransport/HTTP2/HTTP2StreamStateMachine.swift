internal import BowlineCore

/// The state of the request and the response of one exchange on an HTTP/2 connection.
///
/// | state of the response | HEADERS 1xx | HEADERS final | DATA | HEADERS after it | end of stream |
/// |---|---|---|---|---|---|
/// | awaiting the head | awaiting the head | in the body | violation | – | done with a final head, else violation |
/// | in the body | violation | – | in the body | done with the end of the stream, else violation | done |
/// | done | ignored | ignored | ignored | ignored | ignored |
///
/// Independently, the request is open, done or stopped. The stream is *over* when the response is done, and the request
/// is done or stopped.
struct HTTP2StreamStateMachine: ~Copyable {
    private enum Response {
        case awaitingHead(informational: Int)
        case body(expected: Int64?, received: Int64, mayHaveBody: Bool)
        case done
    }

    private enum Request {
        case open
        case done
        case stopped
    }

    private var response = Response.awaitingHead(informational: 0)
    private var request = Request.open
    private var hasWritten = false
    private var hasReceived = false

    private let isHead: Bool
    private let maximumInformational: Int

    init(isHead: Bool, maximumInformational: Int) {
        self.isHead = isHead
        self.maximumInformational = maximumInformational
    }

    /// The progress of the request, as errors report it.
    var progress: RequestProgress {
        if hasReceived { return .responseStarted }
        return hasWritten ? .ambiguous : .neverSent
    }

    /// Whether the request's head was written, so that the peer may know of the stream.
    var hasBeenWritten: Bool { hasWritten }

    var isRequestDone: Bool { request != .open }
    var isRequestStopped: Bool { request == .stopped }
    var hasRequestEnded: Bool { request == .done }
    var hasHead: Bool {
        if case .awaitingHead = response { false } else { true }
    }

    var isResponseDone: Bool {
        if case .done = response { true } else { false }
    }

    /// Records that the head of the request was written.
    mutating func wrote() {
        hasWritten = true
    }

    /// Records that the whole request was written.
    mutating func requestFinished() {
        if request == .open { request = .done }
    }

    /// Records that the rest of the request is not sent.
    mutating func requestStopped() {
        if request == .open { request = .stopped }
    }

    /// Records that the peer has sent bytes on the stream.
    mutating func received() {
        hasReceived = true
    }

    enum Section: Equatable {
        case informational
        case head(expected: Int64?)
        case trailers
        case ignored
        case violation(String)
        /// The peer sent more than we accept.
        case limit(String)
    }

    /// Whether the next field section follows the body.
    var expectsTrailers: Bool { hasHead }

    /// Processes a field section. If it ends the stream, the caller calls ``ended()`` next.
    mutating func receivedSection(status: Int?, contentLength: Int64?, isEnd: Bool) -> Section {
        received()
        switch response {
        case .done: return .ignored
        case .body:
            guard isEnd else { return .violation("a second head within the response") }
            return .trailers
        case .awaitingHead(let informational):
            let status = status ?? 0
            if status == 101 { return .violation("status 101, which HTTP/2 does not have") }
            if status < 200 {
                if isEnd { return .violation("an informational response ended the stream") }
                guard informational < maximumInformational else { return .limit("too many informational responses") }
                response = .awaitingHead(informational: informational + 1)
                return .informational
            }
            let mayHaveBody = !isHead && status != 204 && status != 304
            response = .body(expected: mayHaveBody ? contentLength : nil, received: 0, mayHaveBody: mayHaveBody)
            return .head(expected: mayHaveBody ? contentLength : nil)
        }
    }

    /// Counts bytes of the body. Returns what is wrong with them. nil: nothing.
    mutating func receivedData(_ count: Int) -> String? {
        received()
        switch response {
        case .done: return nil
        case .awaitingHead: return "a body before the response's head"
        case .body(let expected, let received, let mayHaveBody):
            let sum = received + Int64(count)
            if count > 0, !mayHaveBody { return "a body where the response has none" }
            if let expected, sum > expected { return "more body than content-length says" }
            response = .body(expected: expected, received: sum, mayHaveBody: mayHaveBody)
            return nil
        }
    }

    /// Ends the response. Returns what is wrong with its end. nil: nothing.
    mutating func ended() -> String? {
        switch response {
        case .done: return nil
        case .awaitingHead: return "the stream ended without a response"
        case .body(let expected, let received, _):
            if let expected, received < expected { return "less body than content-length says" }
            response = .done
            return nil
        }
    }

    enum Afterwards: Equatable {
        /// The exchange continues.
        case continues
        /// Nothing more will be sent or received.
        case close
        /// The response is complete, and the rest of the request will not be sent. A reset informs the peer.
        case reset
    }

    /// The next step, which follows from the states of the request and the response.
    var afterwards: Afterwards {
        guard isResponseDone else { return .continues }
        switch request {
        case .open: return .continues
        case .done: return .close
        case .stopped: return .reset
        }
    }

    /// Decides whether the rest of the request is sent, when the final head has arrived.
    mutating func decideUpload(status: Int, hasBodyBegun: Bool) -> UploadDecision {
        let decision = UploadDecision(status: status, isRequestDone: request != .open, hasBodyBegun: hasBodyBegun)
        if decision == .stops { request = .stopped }
        return decision
    }
}
