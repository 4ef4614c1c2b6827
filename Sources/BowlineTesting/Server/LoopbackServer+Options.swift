public import NIOCore

extension LoopbackServer {
    /// The settings of a server: its address, TLS, HTTP/2, socket buffers and records.
    public struct Options: Sendable {
        /// The address that a server listens on.
        public enum Address: Sendable, Hashable {
            /// 127.0.0.1, on a port that the system chooses.
            case ipv4
            /// ::1, on a port that the system chooses.
            case ipv6
            /// A Unix domain socket; `path` nil: a new path in the system's directory for temporary files.
            case unixSocket(path: String?)

            /// A Unix domain socket at a new path in the system's directory for temporary files.
            public static let unixSocket = Address.unixSocket(path: nil)
        }

        /// The address that the server listens on. Default `.ipv4`.
        public var address = Address.ipv4
        /// The TLS settings, with the server's certificate; nil: connections are not encrypted. Default nil.
        public var tls: LoopbackTLS?
        /// The HTTP/2 settings; nil: only HTTP/1.1. Default nil.
        public var http2: LoopbackHTTP2?
        /// How many connections the kernel queues until the server accepts them, from 0. Default 256.
        public var backlog = 256
        /// Whether the server accepts connections; false: they stay in the kernel's backlog. Default true.
        public var acceptsConnections = true
        /// Whether dials to the server hang: they neither succeed nor fail. The backlog is full and the server accepts
        /// nothing. A client cannot distinguish that from a network that drops its packets. Not for a Unix domain
        /// socket. Default false.
        public var isUnreachable = false
        /// The size of the kernel's receive buffer (SO_RCVBUF) in bytes; nil: the system's default. With a small
        /// buffer, back-pressure begins after fewer bytes. Default nil.
        public var receiveBufferSize: Int?
        /// The size of the kernel's send buffer (SO_SNDBUF) in bytes; nil: the system's default. Default nil.
        public var sendBufferSize: Int?
        /// How many bytes of each request's body the server keeps, from 0. Default 1 MiB.
        public var recordedBodyLimit = 1 << 20
        /// Whether the server keeps records of requests, ended connections and problems; false: it only counts requests
        /// and connections. Use false for runs so long that the records would fill the memory. Default true.
        public var keepsRecords = true
        /// Whether the server answers `Expect: 100-continue` with `100 Continue`, on connections without a script.
        /// Default true.
        public var answersExpectContinue = true
        /// The event loops that run the sockets; nil: SwiftNIO's singleton group. Default nil.
        public var eventLoopGroup: (any EventLoopGroup)?

        /// Makes the default options.
        public init() {}

        /// The default options, on IPv6.
        public static var ipv6: Options {
            var options = Options()
            options.address = .ipv6
            return options
        }

        /// The default options, on a Unix domain socket.
        public static var unixSocket: Options {
            var options = Options()
            options.address = .unixSocket
            return options
        }

        /// The default options, but dials to the server hang: they neither succeed nor fail.
        public static var unreachable: Options {
            var options = Options()
            options.isUnreachable = true
            return options
        }

        /// The default options, with HTTP/2 without TLS, for clients with prior knowledge.
        public static var http2: Options {
            var options = Options()
            options.http2 = LoopbackHTTP2()
            return options
        }

        /// The default options, with TLS, and with HTTP/2 for clients that offer it.
        public static func http2(_ tls: LoopbackTLS) -> Options {
            var options = http2
            options.tls = tls
            return options
        }

        /// The default options, with TLS.
        public static func tls(_ tls: LoopbackTLS = LoopbackTLS()) -> Options {
            var options = Options()
            options.tls = tls
            return options
        }
    }
}
