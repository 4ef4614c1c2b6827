import Bowline

/// The snippets of Docs/Errors.md in their order, with the imports that it shows. Nothing here is run.
private enum ErrorsSnippets {
    struct Order: Codable { var id: Int }
    struct Conflict: Decodable { var current: Order }

    static func problems(_ client: ServiceClient, _ order: Order) async throws {
        do {
            try await client.post("orders", json: order).expecting(.created).body.discard()
        } catch let error as ServiceError {
            if let problem = error.problem() {
                print(problem.title ?? problem.type, problem.detail ?? "")
            }
            if let found = error.unexpectedStatus, found.status == .conflict {
                print(try found.decode(Conflict.self).current.id)
            }
            throw error
        }
    }

    static func snippet1(_ client: ServiceClient) async throws {
        do {
            let response = try await client.get("users/42")
            print(response.status)
        } catch let error as ServiceError where error.code == .deadlineExceeded {
            print("too late", error.phase ?? .pipeline, error.elapsed ?? .zero)  // what it was doing, and for how long
        } catch let error as ServiceError where error.progress == .neverSent {
            print("the service has not seen it", error)
        }
    }
}
