/// The peer's settings that concern a client (RFC 9113 §6.5.2). Each setting is in force as soon as it arrives.
package struct HTTP2PeerSettings: Sendable, Hashable {
    /// The largest table that the peer allows our encoder.
    package var headerTableSize = 4_096
    /// How many streams the peer allows at once. nil: the peer names no limit.
    package var maximumConcurrentStreams: Int?
    /// The initial send window of a new stream.
    package var initialWindowSize = 65_535
    /// The longest frame payload that the peer accepts.
    package var maximumFrameSize = 16_384
    /// The largest field section that the peer accepts, as RFC 9113 §6.5.2 counts it. nil: the peer names no limit.
    package var maximumHeaderListSize: Int?

    package init() {}

    /// Applies the entries of one SETTINGS frame, in order. Entries with an unknown identifier are ignored.
    mutating func apply(_ entries: [HTTP2SettingEntry]) throws(HTTP2Violation) {
        for entry in entries { try apply(entry) }
    }

    private mutating func apply(_ entry: HTTP2SettingEntry) throws(HTTP2Violation) {
        let value = Int(entry.value)
        switch entry.identifier {
        case HTTP2SettingEntry.headerTableSizeIdentifier:
            headerTableSize = value
        case HTTP2SettingEntry.enablePushIdentifier:
            guard value == 0 else {
                throw HTTP2Violation(
                    .protocolError, .connection, "SETTINGS_ENABLE_PUSH other than 0 from a server",
                    rule: "RFC 9113 §6.5.2")
            }
        case HTTP2SettingEntry.maximumConcurrentStreamsIdentifier:
            maximumConcurrentStreams = value
        case HTTP2SettingEntry.initialWindowSizeIdentifier:
            guard value <= HTTP2SendWindow.maximum else {
                throw HTTP2Violation(
                    .flowControlError, .connection, "SETTINGS_INITIAL_WINDOW_SIZE above 2³¹ − 1",
                    rule: "RFC 9113 §6.5.2")
            }
            initialWindowSize = value
        case HTTP2SettingEntry.maximumFrameSizeIdentifier:
            guard Self.frameSizes.contains(value) else {
                throw HTTP2Violation(
                    .protocolError, .connection, "SETTINGS_MAX_FRAME_SIZE outside 16,384 to 2²⁴ − 1",
                    rule: "RFC 9113 §6.5.2")
            }
            maximumFrameSize = value
        case HTTP2SettingEntry.maximumHeaderListSizeIdentifier:
            maximumHeaderListSize = value
        default: break
        }
    }

    private static let frameSizes = 16_384...16_777_215
}

extension HTTP2SettingEntry {
    // RFC 9113 §6.5.2.
    static var headerTableSizeIdentifier: UInt16 { 1 }
    static var enablePushIdentifier: UInt16 { 2 }
    static var maximumConcurrentStreamsIdentifier: UInt16 { 3 }
    static var initialWindowSizeIdentifier: UInt16 { 4 }
    static var maximumFrameSizeIdentifier: UInt16 { 5 }
    static var maximumHeaderListSizeIdentifier: UInt16 { 6 }
}
