import Bowline
import BowlineTesting

/// Calls a typed client against a server in this process: `swift run --package-path Examples TypedAPI`.
@main
enum TypedAPI {
    static func main() async throws {
        try await withLoopbackServer { server in
            serve(server)
            try await withServiceClient(server.url("v1")) { client in
                let library = Library(client: client)
                print("found:   ", try await library.book(7)?.title ?? "nothing")
                print("found:   ", try await library.book(8)?.title ?? "nothing")
                let added = try await library.add("The Ashley Book of Knots")
                print("added:   ", added.id, added.title)
                print("search:  ", try await library.books(about: "knots & ropes", limit: 2).map(\.title))
                try await library.giveBack(added)
                print("returned:", added.id)
            }
            print("the server saw:")
            for request in server.requests { print("  \(request.method) \(request.target) \(request.bodyText)") }
        }
    }

    private static func serve(_ server: LoopbackServer) {
        let json: HTTPFields = [.contentType: "application/json"]
        server.route(.get, "/v1/books/7", always: .reply(200, fields: json, body: #"{"id":7,"title":"Moby-Dick"}"#))
        server.route(.get, "/v1/books", always: .reply(200, fields: json, body: #"[{"id":9,"title":"Ropes"}]"#))
        server.route(.post, "/v1/books/9/return", always: .reply(204))
        server.route(.post, "/v1/books") { request in
            // What was sent, with a number: {"title":"…"} becomes {"id":9,"title":"…"}.
            .reply(201, fields: json, body: #"{"id":9,"# + request.bodyText.dropFirst())
        }
        server.respond { _ in .reply(404, fields: json, body: #"{"problem":"no such book"}"#) }
    }
}
