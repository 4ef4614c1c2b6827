import Bowline
import BowlineTesting
import Testing

@testable import TypedAPI

/// Shows how to test a typed client: its requests with a stub, its timing with a clock, its errors with a scripted
/// server.
@Suite("Library")
struct LibraryTests {
    private let json: HTTPFields = [.contentType: "application/json"]

    @Test("A missing book is nil")
    func missingBook() async throws {
        let stub = StubTransport()
        stub.on(.get, "/v1/books/{id}", always: .respond(.notFound))
        let library = Library(client: try ServiceClient(baseURL: "https://library.test/v1", transport: stub))

        #expect(try await library.book(8) == nil)
        try stub.verify()
    }

    @Test("A search sends the given words percent-encoded, and omits missing parameters")
    func search() async throws {
        let stub = StubTransport()
        stub.on(.get, "/v1/books", always: .respond(fields: json, body: #"[{"id":9,"title":"Ropes"}]"#))
        let library = Library(client: try ServiceClient(baseURL: "https://library.test/v1", transport: stub))

        #expect(try await library.books(about: "knots & ropes").map(\.title) == ["Ropes"])
        #expect(stub.calls.first?.query == "q=knots%20%26%20ropes")
        try stub.verify()
    }

    @Test("A library that is closed for five seconds is asked again after five seconds, and not earlier")
    func closedForNow() async throws {
        let clock = TestClock()
        let stub = StubTransport()
        stub.on(
            .get, "/v1/books/{id}",
            inOrder: [
                .respond(.serviceUnavailable, fields: [.retryAfter: "5"]),
                .respond(fields: json, body: #"{"id":7,"title":"Moby-Dick"}"#),
            ])
        let client = try ServiceClient(baseURL: "https://library.test/v1", transport: stub) {
            $0.clock = clock
            $0.random = { 0 }  // no jitter: the wait is exactly what the library asked for
        }

        async let book = Library(client: client).book(7)
        try await clock.waitForSleepers(count: 1)
        clock.advance(by: .milliseconds(4999))
        #expect(stub.calls.count == 1)
        clock.advance(by: .milliseconds(1))
        #expect(try await book?.title == "Moby-Dick")
        try stub.verify()
    }

    @Test("A book is returned although the connection drops at that moment")
    func givingBack() async throws {
        try await withLoopbackServer { server in
            server.route(.post, "/v1/books/9/return", inOrder: [.reset, .reply(204)])
            try await withServiceClient(server.url("v1")) { client in
                try await Library(client: client).giveBack(Book(id: 9, title: "Ropes"))
            }
            #expect(server.requests.count == 2)
            #expect(server.connections.count == 2)
            #expect(server.problems.isEmpty)
        }
    }

    @Test("a book is not added twice when the connection drops: the library may have it already")
    func adding() async throws {
        try await withLoopbackServer { server in
            server.route(.post, "/v1/books", always: .reset)
            try await withServiceClient(server.url("v1")) { client in
                let error = await #expect(throws: ServiceError.self) {
                    try await Library(client: client).add("The Ashley Book of Knots")
                }
                #expect(error?.progress == .ambiguous)
            }
            #expect(server.requests.count == 1)
        }
    }
}
