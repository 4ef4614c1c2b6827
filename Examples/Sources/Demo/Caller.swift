import Bowline

/// Sends requests and keeps a ledger of them, to be compared with what the server saw.
struct Caller: Sendable {
    let client: ServiceClient
    let ledger = Ledger()

    /// Sends a request that carries the number of its call, and shows what became of it.
    ///
    /// - Returns: whether it was sent at all; a client that shuts down refuses.
    @discardableResult
    func call(
        _ method: HTTPRequest.Method, _ path: String, body: RequestBody = .none, isShown: Bool = true,
        options: (inout RequestOptions) -> Void = { _ in }
    ) async -> Bool {
        var request = ServiceRequest(method: method, path, body: body)
        options(&request.options)
        var entry = ledger.begin("\(method) \(path)", isShown: isShown)
        request.fields[.call] = "\(entry.number)"
        do {
            let response = try await client.send(request)
            _ = try await response.body.collect(upTo: 1 << 20)
            entry.outcome = "\(response.status.code)"
            entry.connection = response.connection
            entry.resends = response.resends
        } catch let error as ServiceError where error.code == .shuttingDown {
            entry.isRefused = true
        } catch let error as ServiceError {
            entry.outcome = "\(error.code) (\(error.progress))"
        } catch {
            entry.outcome = "\(error)"
        }
        ledger.end(entry)
        if isShown { Table.row(entry) }
        return !entry.isRefused
    }
}

extension HTTPField.Name {
    /// The number of the call, by which the server tells a request from its second sending.
    static var call: HTTPField.Name { HTTPField.Name("X-Call")! }
}
