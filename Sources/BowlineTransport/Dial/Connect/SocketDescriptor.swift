internal import BowlinePlatform
internal import NIOCore

/// The file descriptor of a channel's socket. It belongs to the channel, and only while the channel is open.
struct SocketDescriptor: Sendable {
    let number: CInt

    /// Returns nil if the channel is closed or has no socket. Call this on the channel's event loop.
    ///
    /// SwiftNIO's `withUnsafeTransportIfAvailable` does the same, but its cast to a protocol with a given associated type
    /// costs about 14,000 instructions each time.
    init?(_ channel: any Channel) {
        guard let core = channel._channelCore as? any NIOTransportAccessibleChannelCore,
            let number = Self.descriptor(of: core)
        else { return nil }
        self.number = number
    }

    private static func descriptor(of core: some NIOTransportAccessibleChannelCore) -> CInt? {
        try? core.withUnsafeTransport { $0 as? NIOBSDSocket.Handle }
    }

    /// Sets an option of the socket. SwiftNIO's `setOption` needs about 3,000 instructions more, and for `TCP_NODELAY` also
    /// a system call.
    func set(_ option: NIOBSDSocket.Option, of level: NIOBSDSocket.OptionLevel, to value: CInt) throws {
        var value = value
        guard setsockopt(number, level.rawValue, option.rawValue, &value, socklen_t(MemoryLayout<CInt>.size)) == 0
        else {
            throw IOError(errnoCode: errno, reason: "setsockopt")
        }
    }
}
