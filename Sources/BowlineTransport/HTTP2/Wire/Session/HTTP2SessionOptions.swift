/// Our side of the agreement with an HTTP/2 peer, and the bounds against a hostile one.
package struct HTTP2SessionOptions: Sendable, Hashable {
    /// SETTINGS_INITIAL_WINDOW_SIZE: how many bytes of one response the peer may send ahead of its reader.
    /// 1 to 2³¹ − 1.
    package var streamWindow = 1_048_576
    /// How many bytes of all responses together the peer may send ahead. 65,535 to 2³¹ − 1.
    package var connectionWindow = 16_777_216
    /// How many streams we open at once, where the peer allows as many.
    package var maximumStreams = 256
    /// Bounds one field section of a response. `maximumListSize` is announced as SETTINGS_MAX_HEADER_LIST_SIZE.
    package var fieldLimits = HPACKLimits()

    /// Frames in 30 s that carry no response: SETTINGS, PRIORITY, GOAWAY, frames of unknown types, PING answers to no
    /// PING, each PING and WINDOW_UPDATE beyond what the DATA that we sent explains, and each HEADERS on a reset stream
    /// beyond what our resets explain.
    package var maximumControlFrames = 2_000
    /// RST_STREAM frames in 30 s for streams that are not open.
    package var maximumResets = 2_000
    /// DATA frames in a row that carry no byte of a body and do not end a stream.
    package var maximumEmptyData = 100
    /// Answers to PING and SETTINGS that were written and that `takeOutput` has not fetched.
    package var maximumPendingReplies = 1_000

    package init() {}
}
