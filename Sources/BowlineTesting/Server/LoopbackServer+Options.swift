public import NIOCore

extension LoopbackServer {
    /// Where a server listens and how.
    public struct Options: Sendable {
        /// Where a server listens.
        public enum Address: Sendable, Hashable {
            /// 127.0.0.1, on a port that the system picks.
            case ipv4
            /// ::1, on a port that the system picks.
            case ipv6
            /// A Unix domain socket; nil: a path in the system's directory for temporary files.
            case unixSocket(path: String?)

            /// A Unix domain socket in the system's directory for temporary files.
            public static let unixSocket = Address.unixSocket(path: nil)
        }

        /// Where it listens. Default `.ipv4`.
        public var address = Address.ipv4
        /// A certificate and what else makes connections encrypted; nil: they are not. Default nil.
        public var tls: LoopbackTLS?
        /// How it speaks HTTP/2; nil: it does not. Default nil.
        public var http2: LoopbackHTTP2?
        /// How many connections the kernel holds until they are accepted, from 0. Default 256.
        public var backlog = 256
        /// Whether connections are accepted; false: they wait in the kernel's backlog for ever. Default true.
        public var acceptsConnections = true
        /// Whether dials neither succeed nor fail: the backlog is full and nobody accepts. What a client meets whose
        /// packets are dropped on the way. Not on a Unix domain socket. Default false.
        public var isUnreachable = false
        /// Bytes of the kernel's receive buffer (SO_RCVBUF); nil: the system's. Small ones make back-pressure visible
        /// early. Default nil.
        public var receiveBufferSize: Int?
        /// Bytes of the kernel's send buffer (SO_SNDBUF); nil: the system's. Default nil.
        public var sendBufferSize: Int?
        /// How many bytes of each request's body are kept, from 0. Default 1 MiB.
        public var recordedBodyLimit = 1 << 20
        /// Whether requests, connections that have ended, and problems stay on record; false: only their numbers do. For
        /// runs that are so long that the records would fill the memory. Default true.
        public var keepsRecords = true
        /// Whether served connections answer `Expect: 100-continue` with `100 Continue`. Default true.
        public var answersExpectContinue = true
        /// What runs the sockets; nil: NIO's singleton. Default nil.
        public var eventLoopGroup: (any EventLoopGroup)?

        /// Makes the defaults.
        public init() {}

        /// The defaults, on IPv6.
        public static var ipv6: Options {
            var options = Options()
            options.address = .ipv6
            return options
        }

        /// The defaults, on a Unix domain socket.
        public static var unixSocket: Options {
            var options = Options()
            options.address = .unixSocket
            return options
        }

        /// The defaults, but dials hang.
        public static var unreachable: Options {
            var options = Options()
            options.isUnreachable = true
            return options
        }

        /// The defaults, over HTTP/2 without TLS: for clients that know beforehand.
        public static var http2: Options {
            var options = Options()
            options.http2 = LoopbackHTTP2()
            return options
        }

        /// The defaults, encrypted, and over HTTP/2 for clients that offer it.
        public static func http2(_ tls: LoopbackTLS) -> Options {
            var options = http2
            options.tls = tls
            return options
        }

        /// The defaults, encrypted.
        public static func tls(_ tls: LoopbackTLS = LoopbackTLS()) -> Options {
            var options = Options()
            options.tls = tls
            return options
        }
    }
}
