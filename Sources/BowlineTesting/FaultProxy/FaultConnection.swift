internal import NIOCore

/// One connection of a ``FaultProxy``. Accepts commands from any thread.
struct FaultConnection: Sendable {
    enum Command: Sendable {
        case silence(Set<FaultDirection>)
        case resume
        case cut(FaultCut)
        case stop
    }

    /// The commands that a connection has received and not executed yet.
    ///
    /// The driver takes the commands before it does anything else. So when bytes arrive after a command, they pass only
    /// after the command has taken effect.
    final class Mailbox: Sendable {
        private let commands = Guarded<[Command]>([])

        func append(_ command: Command) {
            commands.withLock { $0.append(command) }
        }

        func takeAll() -> [Command] {
            commands.withLock { commands in
                defer { commands.removeAll() }
                return commands
            }
        }
    }

    let number: Int
    /// Completes when both sockets are closed.
    let closed: EventLoopFuture<Void>
    private let mailbox: Mailbox
    private let driver: NIOLoopBound<FaultDriver>

    /// Makes the connection of an accepted socket. Call it on the socket's event loop.
    init(number: Int, driver: FaultDriver, mailbox: Mailbox, on eventLoop: any EventLoop) {
        self.number = number
        self.mailbox = mailbox
        self.driver = NIOLoopBound(driver, eventLoop: eventLoop)
        closed = driver.closedFuture
    }

    func tell(_ command: Command) {
        mailbox.append(command)
        let driver = driver
        driver.eventLoop.execute { driver.value.run() }
    }
}
