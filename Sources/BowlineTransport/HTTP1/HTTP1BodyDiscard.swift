internal import BowlineCore

/// Whether the rest of a body that the caller has given up is read off, so that its connection can carry another request.
///
/// | body | request | what is left | decision |
/// |---|---|---|---|
/// | its head was not handed over | any | any | closes |
/// | until the peer closes | any | any | closes |
/// | any | open | any | closes |
/// | of a known length | done | more than the limit | closes |
/// | of a known length | done | at most the limit | discards |
/// | in chunks | done | not known | discards; closes when more than the limit has come |
struct HTTP1BodyDiscard {
    private var framing = HTTP1BodyFraming.none
    private var receivedBytes: Int64 = 0
    /// How many bytes may still be read off.
    private var allowance: Int?

    /// What comes of the body is thrown away.
    var isOn: Bool { allowance != nil }

    /// The head has come, which says how the body is delimited.
    mutating func headReceived(_ framing: HTTP1BodyFraming) {
        self.framing = framing
    }

    enum Decision {
        case discards
        case closes
    }

    /// The caller has given up the rest of the body.
    mutating func abandoned(isDelivered: Bool, isRequestDone: Bool, limit: Int) -> Decision {
        guard isDelivered, isRequestDone, allowance == nil else { return .closes }
        switch framing {
        case .untilClose: return .closes
        case .length(let length) where length - receivedBytes > limit: return .closes
        case .none, .length, .chunked:
            allowance = limit
            return .discards
        }
    }

    enum Bytes {
        case wanted
        case discarded
        /// There is more than is worth reading off.
        case tooMany
    }

    /// Bytes of the body have come.
    mutating func received(_ count: Int) -> Bytes {
        receivedBytes += Int64(count)
        guard let left = allowance else { return .wanted }
        allowance = left - count
        return left < count ? .tooMany : .discarded
    }
}
