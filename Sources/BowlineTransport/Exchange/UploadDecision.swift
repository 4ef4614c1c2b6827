/// Whether the rest of a request's body is sent after the final head of the response has arrived (RFC 9112 §9.5, RFC
/// 9113 §8.1).
///
/// | request | status | its body has begun | decision |
/// |---|---|---|---|
/// | done | any | any | goesOn |
/// | open | success | yes | goesOn |
/// | open | success | no: the peer was asked with `Expect: 100-continue` | stops |
/// | open | any other | any | stops |
///
/// If a peer answers before it has the whole request, and the status is not a success, the peer does not want the rest.
enum UploadDecision: Equatable {
    /// The rest of the body, if there is any, is sent. The body is *committed*: no other attempt sends it.
    case goesOn
    /// The rest of the body is not sent. The body is *abandoned*: no attempt reads more of it.
    case stops

    init(status: Int, isRequestDone: Bool, hasBodyBegun: Bool) {
        let isSuccess = (200..<300).contains(status)
        self = isRequestDone || isSuccess && hasBodyBegun ? .goesOn : .stops
    }
}
