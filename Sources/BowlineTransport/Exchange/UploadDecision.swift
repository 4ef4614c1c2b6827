internal import BowlineCore

/// What becomes of a request's body when the final head of the response has come (RFC 9112 §9.5, RFC 9113 §8.1).
///
/// | request | status | its body has begun | decision |
/// |---|---|---|---|
/// | done | any | any | goesOn |
/// | open | success | yes | goesOn |
/// | open | success | no: the peer was asked with `Expect: 100-continue` | stops |
/// | open | any other | any | stops |
///
/// A peer that answers before it has the whole request says with anything but a success that it does not want the rest.
enum UploadDecision: Equatable {
    /// The rest of the body, if there is any, is sent. The body is *committed*: no other attempt sends it.
    case goesOn
    /// The rest of the body is not sent. The body is *abandoned*: no attempt reads on in it.
    case stops

    init(status: Int, isRequestDone: Bool, hasBodyBegun: Bool) {
        let isSuccess = (200..<300).contains(status)
        self = isRequestDone || isSuccess && hasBodyBegun ? .goesOn : .stops
    }
}

extension Exchange {
    /// Does to the request's body what was decided when the response's head came. What the connection has queued of it is the connection's.
    func decided(_ decision: UploadDecision, after status: Int) {
        switch decision {
        case .goesOn: request.commitBody(after: status)
        case .stops:
            upload?.stop()
            request.abandonBody(after: status)
        }
    }
}
