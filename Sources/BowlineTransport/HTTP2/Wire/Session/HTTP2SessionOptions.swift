/// The settings that we announce to an HTTP/2 peer, and the limits against a hostile peer.
package struct HTTP2SessionOptions: Sendable, Hashable {
    /// SETTINGS_INITIAL_WINDOW_SIZE: how many bytes of one response the peer may send ahead of its reader.
    /// 1 to 2³¹ − 1.
    package var streamWindow = 1_048_576
    /// How many bytes of all responses together the peer may send ahead of their readers. 65,535 to 2³¹ − 1.
    package var connectionWindow = 16_777_216
    /// How many streams we open at once, if the peer allows as many.
    package var maximumStreams = 256
    /// The limits of one field section of a response. `maximumListSize` is announced as SETTINGS_MAX_HEADER_LIST_SIZE.
    package var fieldLimits = HPACKLimits()

    /// The most frames without a part of a response that the peer may send within 30 s. These count: SETTINGS,
    /// PRIORITY, GOAWAY, frames of unknown types, PING answers without a PING of ours, each PING and WINDOW_UPDATE
    /// beyond those that our DATA explains, and each HEADERS on a reset stream beyond those that our resets explain.
    package var maximumControlFrames = 2_000
    /// The most RST_STREAM frames that the peer may send within 30 s for streams that are not open.
    package var maximumResets = 2_000
    /// The most DATA frames in a row that may carry no byte of a body and not end a stream.
    package var maximumEmptyData = 100
    /// The most answers to PING and SETTINGS that may be written and not yet taken with `takeOutput`.
    package var maximumPendingReplies = 1_000

    package init() {}
}
