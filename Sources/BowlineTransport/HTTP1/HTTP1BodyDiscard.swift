internal import BowlineCore

/// Decides whether the connection reads and discards the rest of a body that the caller has abandoned. If it does, the
/// connection can carry another request; if not, it closes.
///
/// | body | request | what is left | decision |
/// |---|---|---|---|
/// | its head was not delivered | any | any | closes |
/// | until the peer closes | any | any | closes |
/// | any | open | any | closes |
/// | of a known length | done | more than the limit | closes |
/// | of a known length | done | at most the limit | discards |
/// | in chunks | done | not known | discards; closes when more than the limit has arrived |
struct HTTP1BodyDiscard {
    private var framing = HTTP1BodyFraming.none
    private var receivedBytes: Int64 = 0
    /// How many more bytes may be discarded; nil: no bytes are discarded.
    private var allowance: Int?

    /// Whether arriving bytes of the body are discarded.
    var isOn: Bool { allowance != nil }

    /// Notes how the body is delimited: the head has arrived.
    mutating func headReceived(_ framing: HTTP1BodyFraming) {
        self.framing = framing
    }

    enum Decision {
        case discards
        case closes
    }

    /// Decides about the rest of the body, which the caller has abandoned.
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
        /// More bytes than the limit have arrived.
        case tooMany
    }

    /// Counts arriving bytes of the body.
    mutating func received(_ count: Int) -> Bytes {
        receivedBytes += Int64(count)
        guard let left = allowance else { return .wanted }
        allowance = left - count
        return left < count ? .tooMany : .discarded
    }
}
