import Bowline

/// A typed client of a library's service, with one endpoint and one method for each operation.
struct Library: Sendable {
    let client: ServiceClient

    static let find = Endpoint<Int, Book>(.get, "books/{id}") { id, request in request.path["id"] = id }

    static let search = Endpoint<Search, [Book]>(.get, "books") { search, request in
        request.query["q"] = search.text
        request.query["limit"] = search.limit
    }

    static let add = Endpoint<NewBook, Book>(.post, "books", expecting: [.created]) { book, request in
        try request.encode(book)
    }

    /// Returning a book twice has the same effect as returning it once, so the request may be retried.
    static let giveBack = Endpoint<Int, Void>(
        .post, "books/{id}/return", options: RequestOptions { $0.idempotency = .idempotent }
    ) { id, request in
        request.path["id"] = id
    }

    /// nil: the library has no such book.
    func book(_ id: Int) async throws -> Book? {
        do {
            return try await client.call(Self.find, id)
        } catch let error as ServiceError where error.unexpectedStatus?.status == .notFound {
            return nil
        }
    }

    func books(about text: String, limit: Int? = nil) async throws -> [Book] {
        try await client.call(Self.search, Search(text: text, limit: limit))
    }

    func add(_ title: String) async throws -> Book { try await client.call(Self.add, NewBook(title: title)) }

    func giveBack(_ book: Book) async throws { try await client.call(Self.giveBack, book.id) }
}

struct Book: Codable, Sendable {
    var id: Int
    var title: String
}

struct NewBook: Codable, Sendable {
    var title: String
}

struct Search: Sendable {
    var text: String
    var limit: Int?
}
