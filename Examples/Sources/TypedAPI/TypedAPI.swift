import Bowline
import BowlineTesting
import Claims

/// Calls a typed client against a server in this process: `swift run --package-path Examples TypedAPI`.
@main
enum TypedAPI {
    static func main() async throws {
        try await withLoopbackServer { server in
            serve(server)
            try await withServiceClient(server.url("v1")) { client in
                let library = Library(client: client)
                claim("book 7 is there", try await library.book(7)?.title == "Moby-Dick")
                claim("book 8 is not: 404 is nil, not an error", try await library.book(8) == nil)
                let added = try await library.add("The Ashley Book of Knots")
                claim("a new book has the library's number", added.id == 9)
                let found = try await library.books(about: "knots & ropes", limit: 2)
                claim("a search finds a list", found.map(\.title) == ["Ropes"])
                try await library.giveBack(added)
            }
            print("What the library saw:")
            for request in server.requests { print("  \(request.method) \(request.target) \(request.bodyText)") }
            let search = "/v1/books?q=knots%20%26%20ropes&limit=2"
            claim("the search is percent-encoded", server.requests.contains { $0.target == search })
        }
    }

    private static func serve(_ server: LoopbackServer) {
        let json: HTTPFields = [.contentType: "application/json"]
        server.route(.get, "/v1/books/7", always: .reply(200, fields: json, body: #"{"id":7,"title":"Moby-Dick"}"#))
        server.route(.get, "/v1/books", always: .reply(200, fields: json, body: #"[{"id":9,"title":"Ropes"}]"#))
        server.route(.post, "/v1/books/9/return", always: .reply(204))
        server.route(.post, "/v1/books") { request in
            // Returns the received book with a number: {"title":"…"} becomes {"id":9,"title":"…"}.
            .reply(201, fields: json, body: #"{"id":9,"# + request.bodyText.dropFirst())
        }
        server.respond { _ in .reply(404, fields: json, body: #"{"problem":"no such book"}"#) }
    }
}
