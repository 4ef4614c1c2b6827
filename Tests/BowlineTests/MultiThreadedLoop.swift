import NIOPosix

/// Whether the calling thread is an event loop.
enum MultiThreadedLoop {
    static var isCurrent: Bool { MultiThreadedEventLoopGroup.currentEventLoop != nil }
}
