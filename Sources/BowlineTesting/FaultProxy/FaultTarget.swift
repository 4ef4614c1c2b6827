internal import NIOCore
internal import NIOPosix

/// The server that a ``FaultProxy`` dials.
enum FaultTarget: Sendable {
    case address(SocketAddress)
    case name(String, port: Int)

    /// - Throws: ``FaultProxyError`` if the host or the port cannot be dialed.
    init(host: String, port: Int) throws {
        guard !host.isEmpty else { throw FaultProxyError(description: "host: it is empty") }
        guard (1...65_535).contains(port) else {
            throw FaultProxyError(description: "port: \(port) is not from 1 to 65535")
        }
        if let address = try? SocketAddress(ipAddress: host, port: port) {
            self = .address(address)
        } else {
            self = .name(host, port: port)
        }
    }

    func dial(_ bootstrap: ClientBootstrap) -> EventLoopFuture<any Channel> {
        switch self {
        case .address(let address): bootstrap.connect(to: address)
        case .name(let host, let port): bootstrap.connect(host: host, port: port)
        }
    }
}

/// The error of starting a ``FaultProxy`` with an invalid host or port. The description names the parameter.
public struct FaultProxyError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String
}
