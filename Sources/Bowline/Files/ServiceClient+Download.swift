public import BowlineCore

extension ServiceClient {
    /// Sends a GET request and writes the response's body to a file; see ``ServiceResponse/download(to:)``.
    ///
    /// ```swift
    /// try await client.download("exports/2026.csv", to: "2026.csv") { options in
    ///     options.timeouts.total = .unlimited
    ///     options.onDownloadProgress = { print($0.fraction ?? 0) }
    /// }
    /// ```
    ///
    /// - Returns: how many bytes were written.
    /// - Throws: as ``send(_:)`` and ``ServiceResponse/download(to:)``.
    @discardableResult
    public func download(
        _ reference: String, to path: String, query: QueryItems = [:], fields: HTTPFields = [:],
        options: OptionsChange? = nil
    ) async throws -> Int {
        try await get(reference, query: query, fields: fields, options: options).download(to: path)
    }
}
