import BowlineCore
import NIOCore
import Testing

@testable import BowlineTesting

@Suite("Fault connection machine")
struct FaultConnectionMachineTests {
    private let start = MonotonicInstant(nanoseconds: 1_000_000_000)

    private func makeMachine(
        silenced: Set<FaultDirection> = [], _ configure: (inout FaultScript) -> Void = { _ in }
    ) -> FaultConnectionMachine {
        var machine = FaultConnectionMachine(number: 7, script: FaultScript(configure), at: start)
        machine.accepted(silenced: silenced, at: start)
        return machine
    }

    /// Returns the actions up to the next wait, each in words. Notes begin with a hash. Reports each write as done. If
    /// the connection is over, the last word is "over".
    private func drain(_ machine: inout FaultConnectionMachine, after time: Duration = .zero) -> [String] {
        let now = start.advanced(by: time)
        var actions: [String] = []
        while true {
            switch machine.next(at: now) {
            case .dial: actions.append("dial")
            case .write(let bytes, let direction):
                actions.append("\(direction): \(String(buffer: bytes))")
                machine.wrote(direction, succeeded: true, at: now)
            case .finish(let side): actions.append("finish \(side)")
            case .reset(let side): actions.append("reset \(side)")
            case .close(let side): actions.append("close \(side)")
            case .note(let record): actions.append("# \(record.what)")
            case .rest: actions.append("rest")
            case .wait(until: nil): return machine.isOver ? actions + ["over"] : actions
            case .wait(let time?):
                actions.append("wait \(start.duration(to: time))")
                return actions
            }
        }
    }

    /// Returns the same actions without the notes.
    private func act(_ machine: inout FaultConnectionMachine, after time: Duration = .zero) -> [String] {
        drain(&machine, after: time).filter { !$0.hasPrefix("#") }
    }

    /// Returns the peers whose bytes should be read.
    private func readers(_ machine: borrowing FaultConnectionMachine) -> [FaultConnectionMachine.Side] {
        var sides: [FaultConnectionMachine.Side] = []
        if machine.wantsBytes(of: .client, at: start) { sides.append(.client) }
        if machine.wantsBytes(of: .server, at: start) { sides.append(.server) }
        return sides
    }

    private func opened(_ configure: (inout FaultScript) -> Void = { _ in }) -> FaultConnectionMachine {
        var machine = makeMachine(configure)
        _ = drain(&machine)
        machine.dialed(at: start)
        return machine
    }

    private func send(
        _ text: String, from side: FaultConnectionMachine.Side, _ machine: inout FaultConnectionMachine
    ) {
        machine.received(ByteBuffer(string: text), from: side, at: start, jitter: 0)
    }

    @Test("The proxy dials, then passes bytes both ways, also bytes from before the dial")
    func passes() {
        var machine = makeMachine()
        let first = drain(&machine)
        #expect(first == ["# accepted", "dial"])
        let before = readers(machine)
        #expect(before == [])
        send("a", from: .client, &machine)
        machine.dialed(at: start)
        let after = readers(machine)
        #expect(after == [.client, .server])
        send("b", from: .server, &machine)
        let second = drain(&machine)
        #expect(second == ["# connected", "toServer: a", "toClient: b"])
    }

    @Test("The log says what the lanes do to all bytes")
    func lanes() {
        var machine = makeMachine {
            $0.toServer.bytesPerSecond = 1000
            $0.toClient.latency = .milliseconds(50)
            $0.toClient.jitter = .seconds(1)
            $0.toClient.sliceBytes = 10
            $0.toClient.sliceGap = .milliseconds(1)
        }
        let actions = drain(&machine)
        let toClient = "latency 0.05 seconds, jitter 1.0 seconds, slices of 10 bytes with gaps of 0.001 seconds"
        #expect(actions == ["# accepted", "# 1000 bytes per second", "# \(toClient)", "dial"])
    }

    @Test("the client is reset when the dial fails")
    func dialFails() {
        var machine = makeMachine()
        _ = drain(&machine)
        machine.dialFailed("refused")
        let actions = drain(&machine)
        #expect(actions == ["# dial failed: refused", "reset client", "over"])
    }

    @Test("openings: refused with RST or FIN, delayed, silent until resumed")
    func openings() {
        var reset = makeMachine { $0.opening = .refuse(.reset) }
        let resetActions = drain(&reset)
        #expect(resetActions == ["# accepted", "# refused (reset)", "reset client", "over"])

        var fin = makeMachine { $0.opening = .refuse(.fin) }
        let finActions = act(&fin)
        #expect(finActions == ["finish client", "wait 1.0 seconds"])
        let closing = act(&fin, after: .seconds(1))
        #expect(closing == ["close client", "over"])

        var late = makeMachine { $0.opening = .delay(.seconds(2)) }
        let early = act(&late)
        #expect(early == ["wait 2.0 seconds"])
        let due = act(&late, after: .seconds(2))
        #expect(due == ["dial"])

        var silent = makeMachine { $0.opening = .silence }
        let nothing = act(&silent)
        #expect(nothing == [])
        silent.resume(at: start)
        let resumed = act(&silent)
        #expect(resumed == ["dial"])
    }

    @Test("a proxy that is silent towards servers does not dial; one that is silent towards clients does")
    func silencedBefore() {
        var dark = makeMachine(silenced: [.toServer])
        let nothing = act(&dark)
        #expect(nothing == [])
        var half = makeMachine(silenced: [.toClient])
        let actions = act(&half)
        #expect(actions == ["dial"])
        half.dialed(at: start)
        send("a", from: .client, &half)
        send("b", from: .server, &half)
        let passed = act(&half)
        #expect(passed == ["toServer: a"])
        half.resume(at: start)
        let rest = act(&half)
        #expect(rest == ["toClient: b"])
    }

    @Test("half-closes pass one way each; then both sockets are closed, after a second at the latest")
    func halfCloses() {
        var machine = opened()
        send("a", from: .client, &machine)
        machine.inputEnded(.client, at: start)
        let first = act(&machine)
        #expect(first == ["toServer: a", "finish server"])
        send("b", from: .server, &machine)
        let second = act(&machine)
        #expect(second == ["toClient: b"])
        machine.inputEnded(.server, at: start)
        let third = act(&machine)
        #expect(third == ["finish client", "wait 1.0 seconds"])
        machine.closed(.client, failed: false, at: start)
        machine.closed(.server, failed: false, at: start)
        let rest = act(&machine)
        #expect(rest == ["over"])
    }

    @Test("A peer's reset passes after the bytes that were read from that peer")
    func resets() {
        for side in FaultConnectionMachine.Side.allCases {
            var machine = opened()
            send("a", from: side, &machine)
            machine.closed(side, failed: true, at: start)
            let actions = act(&machine)
            let expected = side == .client ? ["toServer: a", "reset server"] : ["toClient: a", "reset client"]
            #expect(actions == expected + ["over"])
        }
    }

    @Test("a peer that resets after its half-close resets the other")
    func resetAfterHalfClose() {
        var machine = opened()
        machine.inputEnded(.client, at: start)
        let first = act(&machine)
        #expect(first == ["finish server"])
        machine.closed(.client, failed: false, at: start)
        let second = act(&machine)
        #expect(second == ["reset server", "over"])
    }

    @Test("A cut ends both sockets, and later bytes are dropped")
    func cuts() {
        var reset = opened { $0.toServer.events = [FaultEvent(at: 2, .cut(.reset))] }
        send("abc", from: .client, &reset)
        let resetActions = drain(&reset)
        #expect(
            resetActions == ["# connected", "toServer: ab", "# cut (reset)", "reset client", "reset server", "over"])
        var fin = opened { $0.toClient.events = [FaultEvent(at: 1, .cut(.fin))] }
        send("abc", from: .server, &fin)
        let finActions = act(&fin)
        #expect(finActions == ["toClient: a", "finish client", "finish server", "wait 1.0 seconds"])
        let drained = readers(fin)
        #expect(drained == [.client, .server])
        send("d", from: .client, &fin)
        let late = act(&fin, after: .seconds(1))
        #expect(late == ["close client", "close server", "over"])
    }

    @Test("A half-close of one direction drops the bytes that its sender sends afterwards")
    func halfCloseEvent() {
        var machine = opened { $0.toServer.events = [FaultEvent(at: 1, .halfClose)] }
        send("abc", from: .client, &machine)
        send("x", from: .server, &machine)
        let actions = act(&machine)
        #expect(actions == ["toServer: a", "finish server", "toClient: x"])
        let drained = readers(machine)
        #expect(drained == [.client, .server])
        send("d", from: .client, &machine)
        let nothing = act(&machine)
        #expect(nothing == [])
    }

    @Test("During silence neither bytes nor a reset pass until it is resumed, or until 30 s after the end")
    func silenceBoth() {
        var machine = opened { $0.toServer.events = [FaultEvent(at: 1, .silenceBoth)] }
        send("ab", from: .client, &machine)
        send("x", from: .server, &machine)
        let first = act(&machine)
        #expect(first == ["toServer: a"])
        machine.closed(.client, failed: true, at: start)
        let held = act(&machine)
        #expect(held == ["wait 30.0 seconds"])
        machine.resume(at: start)
        let resumed = act(&machine)
        #expect(resumed == ["toServer: b", "reset server", "over"])

        var dark = opened { $0.toServer.events = [FaultEvent(at: 0, .silenceBoth)] }
        _ = act(&dark)
        dark.inputEnded(.client, at: start)
        let givenUp = act(&dark, after: .seconds(30))
        #expect(givenUp == ["reset client", "reset server", "over"])
    }

    @Test("a client that leaves before the dial ends the connection")
    func clientLeaves() {
        var machine = makeMachine { $0.opening = .delay(.seconds(1)) }
        _ = drain(&machine)
        machine.closed(.client, failed: true, at: start)
        let actions = act(&machine, after: .seconds(1))
        #expect(actions == ["over"])
    }

    @Test("a write that fails stops its direction until the socket's close is known")
    func failedWrite() {
        var machine = opened()
        _ = act(&machine)
        send("a", from: .client, &machine)
        guard case .write = machine.next(at: start) else {
            Issue.record("nothing is written")
            return
        }
        machine.wrote(.toServer, succeeded: false, at: start)
        send("b", from: .client, &machine)
        let nothing = act(&machine)
        #expect(nothing == [])
        machine.closed(.server, failed: false, at: start)
        let actions = act(&machine)
        #expect(actions == ["reset client", "over"])
    }

    @Test("64 writes without a wait, in one direction or both, are followed by a rest")
    func rests() {
        var machine = opened {
            $0.toServer.sliceBytes = 1
            $0.toClient.sliceBytes = 1
        }
        _ = act(&machine)
        let turn = Array(repeating: "toServer: a", count: 64)
        send(String(repeating: "a", count: 130), from: .client, &machine)
        let one = act(&machine)
        let turnAndRest = turn + ["rest"]
        #expect(one == turnAndRest + turnAndRest + ["toServer: a", "toServer: a"])

        send(String(repeating: "a", count: 40), from: .client, &machine)
        send(String(repeating: "b", count: 40), from: .server, &machine)
        let both = act(&machine)
        let toServer = Array(repeating: "toServer: a", count: 40)
        let beforeRest = Array(repeating: "toClient: b", count: 24)
        let afterRest = Array(repeating: "toClient: b", count: 16)
        #expect(both == toServer + beforeRest + ["rest"] + afterRest)
    }

    @Test("a wait counts as a rest")
    func waitsAreRests() {
        var machine = opened { $0.toServer.sliceBytes = 1 }
        _ = act(&machine)
        for _ in 0..<3 {
            send(String(repeating: "a", count: 60), from: .client, &machine)
            let actions = act(&machine)
            #expect(actions == Array(repeating: "toServer: a", count: 60))
        }
    }

    @Test("a connection that is stopped while it rests closes its sockets, and writes no more")
    func stopsAtRest() {
        var machine = opened { $0.toServer.sliceBytes = 1 }
        _ = act(&machine)
        send(String(repeating: "a", count: 70), from: .client, &machine)
        var written = 0
        while case .write = machine.next(at: start) {
            machine.wrote(.toServer, succeeded: true, at: start)
            written += 1
        }
        #expect(written == 64)
        machine.stop()
        let actions = act(&machine)
        #expect(actions == ["close client", "close server", "over"])
    }

    @Test("Stopping closes both sockets, and nothing happens afterwards")
    func stops() {
        var machine = opened()
        machine.stop()
        let actions = act(&machine)
        #expect(actions == ["close client", "close server", "over"])
        machine.cut(.reset, at: start)
        machine.silence([.toServer], at: start)
        machine.dialed(at: start)
        machine.dialFailed("late")
        machine.closed(.client, failed: true, at: start)
        let late = drain(&machine)
        #expect(late == ["over"])
    }
}
