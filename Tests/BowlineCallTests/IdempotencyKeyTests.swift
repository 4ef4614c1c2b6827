import BowlineCall
import BowlineCore
import BowlineTesting
import Testing

@Suite("Idempotency keys", .timeLimit(.minutes(1)))
struct IdempotencyKeyTests {
    private let stub = StubTransport()
    private let name = HTTPField.Name.idempotencyKey

    private func send(_ request: ServiceRequest, isDefault: Bool = true) async throws {
        // Two sendings of each call.
        let twice = Intercepting { request, context, next in
            _ = try await next(request, context: context)
            return try await next(request, context: context)
        }
        stub.on(nil, "/a", always: .respond(.ok))
        let road = TestRoad {
            $0.makesIdempotencyKeys = isDefault
            $0.random = SeededRandom(seed: 7).source()
            $0.perAttempt = [twice]
        }
        _ = try await stub.send(request, along: road)
    }

    @Test(
        "an opted-in POST or PATCH gets one key, the same on each attempt, and is idempotent by it", .tags(.RT19),
        arguments: [HTTPRequest.Method.post, .patch])
    func made(method: HTTPRequest.Method) async throws {
        let request = ServiceRequest(method: method, "http://api.example/a")
        #expect(!request.isIdempotent)
        try await send(request)
        let keys = stub.calls.map { $0.fields[values: name] }
        #expect(keys.count == 2)
        #expect(keys.first?.count == 1)
        #expect(keys.first == keys.last)
        let key = try #require(keys.first?.first)
        #expect(key.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil)
        #expect(stub.calls.allSatisfy { $0.request.isIdempotent })
    }

    @Test("two calls have two keys", .tags(.RT19))
    func different() async throws {
        let road = TestRoad {
            $0.makesIdempotencyKeys = true
            $0.random = { .random(in: 0..<1) }
        }
        stub.on(nil, "/a", always: .respond(.ok))
        for _ in 0..<100 { _ = try await stub.send(.post("http://api.example/a"), along: road) }
        #expect(Set(stub.calls.map { $0.fields[name] }).count == 100)
    }

    @Test("Other methods, and clients that did not opt in, get no key; the caller's own key stays", .tags(.RT19))
    func notMade() async throws {
        for method in [HTTPRequest.Method.get, .put, .delete, .head, .options] {
            try await send(ServiceRequest(method: method, "http://api.example/a"))
        }
        try await send(.post("http://api.example/a"), isDefault: false)
        var refusing = ServiceRequest.post("http://api.example/a")
        refusing.options.makesIdempotencyKey = false
        try await send(refusing)
        #expect(stub.calls.allSatisfy { !$0.fields.contains(name) })
        try await send(ServiceRequest(method: .post, "http://api.example/a", fields: [name: "mine"]))
        #expect(stub.calls.last?.fields[values: name] == ["mine"])
        var asking = ServiceRequest.post("http://api.example/a")
        asking.options.makesIdempotencyKey = true
        try await send(asking, isDefault: false)
        #expect(stub.calls.last?.fields.contains(name) == true)
    }

    @Test(
        "A random source that leaves 0..<1 still makes a key",
        arguments: [1.0, -1, .nan, .infinity, 0])
    func oddRandomness(value: Double) async throws {
        stub.on(nil, "/a", always: .respond(.ok))
        let road = TestRoad {
            $0.makesIdempotencyKeys = true
            $0.random = { value }
        }
        _ = try await stub.send(.post("http://api.example/a"), along: road)
        #expect(stub.calls.last?.fields[name] == "00000000-0000-4000-8000-000000000000")
    }
}
