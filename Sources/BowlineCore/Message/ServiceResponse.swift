/// A response: status, fields, a body that can be read once, and facts about how it was obtained.
///
/// A status of 400 or above is a response like any other, not an error. The caller owns the body: read it, or drop the
/// response.
public struct ServiceResponse: Sendable {
    @usableFromInline
    struct Content: Sendable {
        @usableFromInline var status: HTTPResponse.Status
        @usableFromInline var receivedFields: ReceivedFields
        @usableFromInline var body: ResponseBody
        @usableFromInline var facts: ResponseFacts
        @usableFromInline var decoding: BodyDecoding?
        @usableFromInline var isStatusChecked = false
    }

    @usableFromInline var content: CopyOnWrite<Content>

    /// The status code and its reason phrase.
    @inlinable @inline(__always) public var status: HTTPResponse.Status {
        _read { yield content.value.status }
        _modify { yield &content.value.status }
    }

    /// The header fields as received. A lookup in them is cheap, because it does not make the collection ``fields``.
    @inlinable @inline(__always) public var receivedFields: ReceivedFields {
        _read { yield content.value.receivedFields }
        _modify { yield &content.value.receivedFields }
    }

    /// The body. It can be read once.
    @inlinable @inline(__always) public var body: ResponseBody {
        _read { yield content.value.body }
        _modify { yield &content.value.body }
    }

    /// How the response was obtained: connection, attempts, timings.
    @inlinable @inline(__always) public var facts: ResponseFacts {
        _read { yield content.value.facts }
        _modify { yield &content.value.facts }
    }

    /// The decoder of the client that sent the request; nil: the default decoder.
    package var decoding: BodyDecoding? {
        _read { yield content.value.decoding }
        _modify { yield &content.value.decoding }
    }

    /// Whether the caller has checked the status already, with `expecting`. Then `decode` accepts the response even if
    /// the status is not 2xx.
    package var isStatusChecked: Bool {
        _read { yield content.value.isStatusChecked }
        _modify { yield &content.value.isStatusChecked }
    }

    /// Makes a response, for stubs and middleware.
    public init(
        status: HTTPResponse.Status, fields: HTTPFields = [:], body: ResponseBody = ResponseBody(),
        facts: ResponseFacts = ResponseFacts()
    ) {
        self.init(status: status, receivedFields: ReceivedFields(fields), body: body, facts: facts)
    }

    package init(
        status: HTTPResponse.Status, receivedFields: ReceivedFields, body: ResponseBody, facts: ResponseFacts
    ) {
        content = CopyOnWrite(Content(status: status, receivedFields: receivedFields, body: body, facts: facts))
    }

    /// The header fields; made on first use.
    public var fields: HTTPFields {
        get { receivedFields.httpFields }
        set { receivedFields = ReceivedFields(newValue) }
    }

    /// The connection that delivered the response; nil: there was none (a stub).
    public var connection: ConnectionFacts? { facts.connection }
    /// The URL that the response comes from. After redirects, it is the target of the last redirect. With
    /// `resilience.balancing` over base URLs, it is a URL of the endpoint that answered. nil: no client has received the
    /// response (it is from a stub, or made by hand).
    ///
    /// References in the body are relative to this URL: resolve them with ``ServiceURL/resolving(_:)``. ``links`` are
    /// resolved already. The URL's query may contain secrets.
    public var url: ServiceURL? { facts.url }
    /// The number of attempts of the last hop, from 1. Each redirect (``ResponseFacts/redirects``) begins a new hop.
    /// Resends by the transport do not count.
    public var attempts: Int { facts.attempts }
    /// How many requests were sent for the call: the attempts of all hops and the transport's resends.
    public var requestsSent: Int { facts.requestsSent }
    /// How often the transport sent the last attempt again, because a reused connection was dead or the peer refused
    /// the request.
    public var resends: Int { facts.resends }
    /// When the attempt that got this response reached each of its phases.
    public var timings: PhaseTimings { facts.timings }
    /// The informational (1xx) responses that came before this one, in order.
    public var informational: [InformationalResponse] { facts.informational }
}
