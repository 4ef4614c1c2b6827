import BowlineTesting

/// Answers that several suites script.
extension LoopbackServer {
    /// Answers the first request of each connection with "hello", and with "world" when `gate` is open; then waits until
    /// the client closes the connection.
    ///
    /// - Parameter isCut: the server closes the connection in place of "world".
    func answerInHalves(second gate: Gate, isCut: Bool = false) {
        onConnection { connection in
            _ = try await connection.readRequest()
            try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            try await gate.wait()
            if isCut { return try await connection.closeNow() }
            try await connection.send("world")
            try await connection.waitForClose()
        }
    }

    /// Answers the first request of each connection with these bytes, and sends nothing more.
    ///
    /// - Returns: a gate that opens when the client has closed the connection.
    func answerUntilClosed(_ bytes: String) -> Gate {
        let closed = Gate()
        onConnection { connection in
            _ = try await connection.readRequest()
            try await connection.send(bytes)
            try await connection.waitForClose()
            closed.open()
        }
        return closed
    }
}
