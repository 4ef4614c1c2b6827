import BowlineCore
import BowlineTesting
import Testing

@testable import BowlineTransport

@Suite("Addresses that failed recently go last")
struct AddressHistoryTests {
    private let addresses = (1...4).compactMap { IPAddress("192.0.2.\($0)") }
    private let start = MonotonicInstant(nanoseconds: 0)

    private func numbers(_ addresses: [IPAddress]) -> [UInt8] { addresses.compactMap(\.bytes.last) }

    @Test("Failed addresses go last; both groups keep their order")
    func order() {
        let history = AddressHistory()
        history.failed(addresses[2], now: start)
        history.failed(addresses[0], now: start)
        #expect(numbers(history.ordered(addresses, now: start).addresses) == [2, 4, 1, 3])
        #expect(numbers(history.ordered([addresses[0]], now: start).addresses) == [1])
        #expect(history.ordered([], now: start).addresses == [])
    }

    @Test("If all addresses failed, their order stays")
    func all() {
        let history = AddressHistory()
        for address in addresses.reversed() { history.failed(address, now: start) }
        #expect(history.ordered(addresses, now: start).addresses == addresses)
    }

    @Test("A failure counts for 60 s, from the last failure")
    func age() {
        let history = AddressHistory()
        history.failed(addresses[0], now: start)
        history.failed(addresses[1], now: start.advanced(by: .seconds(-10)))
        history.failed(addresses[1], now: start)
        #expect(numbers(history.ordered(addresses, now: start.advanced(by: .seconds(60))).addresses) == [3, 4, 1, 2])
        let later = start.advanced(by: .seconds(60) + .nanoseconds(1))
        #expect(history.ordered(addresses, now: later).addresses == addresses)
    }

    @Test("A success forgets the failure")
    func success() {
        let history = AddressHistory()
        history.failed(addresses[0], now: start)
        history.failed(addresses[1], now: start)
        history.succeeded(addresses[0])
        #expect(numbers(history.ordered(addresses, now: start).addresses) == [1, 3, 4, 2])
        history.succeeded(addresses[1])
        #expect(history.ordered(addresses, now: start).addresses == addresses)
    }

    @Test("An address with another zone or family is another address")
    func zones() throws {
        let history = AddressHistory()
        let near = try #require(IPAddress("fe80::1%eth0"))
        let far = try #require(IPAddress("fe80::1%eth1"))
        history.failed(near, now: start)
        #expect(history.ordered([near, far], now: start).addresses == [far, near])
        #expect(history.ordered([far, addresses[0]], now: start).addresses == [far, addresses[0]])
    }

    @Test("Of too many failures the oldest is forgotten, after those that no longer count")
    func limit() {
        var failures = FailedAddresses(limits: FailedAddresses.Limits(maximumAddresses: 3))
        for (index, address) in addresses.enumerated() {
            failures.failed(address, now: start.advanced(by: .seconds(index)))
        }
        #expect(failures.count == 3)
        #expect(numbers(failures.ordered(addresses, now: start.advanced(by: .seconds(4))).addresses) == [1, 2, 3, 4])
        #expect(
            numbers(failures.ordered(addresses.reversed(), now: start.advanced(by: .seconds(4))).addresses) == [
                1, 4, 3, 2,
            ])
        // At 63 s only the failure of 3 s counts.
        failures.failed(addresses[0], now: start.advanced(by: .seconds(63)))
        #expect(failures.count == 2)
        #expect(FailedAddresses.Limits().maximumAddresses == 1000)
    }

    @Test("For random failures and successes the order is that of a model that keeps all events")
    func walk() {
        var random = SeededRandom.fromEnvironment()
        var failures = FailedAddresses()
        var model: [IPAddress: MonotonicInstant] = [:]
        var now = start
        for step in 0..<5000 {
            let address = addresses[random.next(in: 0..<addresses.count)]
            switch random.next(in: 0..<4) {
            case 0:
                failures.failed(address, now: now)
                model[address] = now
            case 1:
                failures.succeeded(address)
                model[address] = nil
            default: now = now.advanced(by: .seconds(random.next(in: 0..<40)))
            }
            let shuffled = addresses.shuffled(using: &random)
            // A stable sort by whether the address failed at most 60 s ago.
            let bad = shuffled.filter { model[$0].map { $0.advanced(by: .seconds(60)) >= now } ?? false }
            let expected = shuffled.filter { !bad.contains($0) } + bad
            #expect(failures.ordered(shuffled, now: now).addresses == expected, "step \(step)")
        }
    }
}
