internal import BowlineCore
internal import NIOCore
internal import NIOHPACK
internal import NIOHTTP2

// Whether the peer takes a field section. The frame handler does not split one into several frames, and one that is too large
// for a frame fails there after the compression table has changed: the peer would read all later fields wrongly. So a section
// is measured before the handler gets it. Everything here runs on the event loop.
extension HTTP2Connection {
    /// Why the peer does not take the section; nil: it does.
    ///
    /// Holds until the peer changes its settings, so the section has to be written in the same turn.
    func refusal(of headers: HPACKHeaders, _ what: String) -> String? {
        if let limit = settings.maximumHeaderListSize {
            let size = HTTP2RequestHead.listSize(of: headers)
            if size > limit {
                return "\(what) count \(size) bytes, more than the \(limit) that the peer accepts"
                    + " (SETTINGS_MAX_HEADER_LIST_SIZE)"
            }
        }
        let limit = settings.maximumFrameSize
        let bound = HTTP2FieldSectionSize.upperBound(of: headers)
        guard bound > limit else { return nil }
        let exact = encodedSize(of: headers)
        guard exact ?? bound > limit else { return nil }
        return "\(what) take \(exact.map { "\($0)" } ?? "up to \(bound)") bytes compressed, more than the \(limit)"
            + " that the peer accepts in a frame (SETTINGS_MAX_FRAME_SIZE)"
    }

    /// How many bytes the section takes, by a copy of the frame handler's encoder with its table; nil: not known, and the
    /// upper bound decides (Docs/Decisions/measured-field-sections.md).
    func encodedSize(of headers: HPACKHeaders) -> Int? {
        guard let handler = try? context?.pipeline.syncOperations.handler(type: NIOHTTP2Handler.self),
            var encoder = Mirror(reflecting: handler).descendant("frameEncoder", "some", "headerEncoder")
                as? HPACKEncoder
        else { return nil }
        var section = ByteBuffer()
        guard (try? encoder.encode(headers: headers, to: &section)) != nil else { return nil }
        return section.readableBytes
    }
}
