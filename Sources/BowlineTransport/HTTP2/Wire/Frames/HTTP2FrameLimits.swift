/// Limits of one frame or one field section of the peer, which bound the memory for it. Each limit is inclusive.
package struct HTTP2FrameLimits: Sendable, Hashable {
    /// The longest payload in bytes: the SETTINGS_MAX_FRAME_SIZE that is in force for the peer. Default 16,384, as in
    /// RFC 9113. A longer frame is a FRAME_SIZE_ERROR.
    package var maximumFrameSize = 16_384
    /// The most compressed bytes of one field section. A longer section is ENHANCE_YOUR_CALM. Default 256 KiB.
    package var maximumBlockBytes = 262_144
    /// The most CONTINUATION frames of one field section, empty ones included. One more is ENHANCE_YOUR_CALM. Default
    /// 4,096.
    package var maximumContinuations = 4_096

    /// Makes the default limits.
    package init() {}
}
