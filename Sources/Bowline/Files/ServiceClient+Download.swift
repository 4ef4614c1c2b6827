public import BowlineCore

extension ServiceClient {
    /// Sends a GET request and writes the response's body to a file; see ``ServiceResponse/download(to:)``.
    ///
    /// ```swift
    /// try await client.download("exports/2026.csv", to: "2026.csv") { options in
    ///     options.timeouts.total = .seconds(600)
    ///     options.onDownloadProgress = { print($0.fraction ?? 0) }
    /// }
    /// ```
    /// The default of `timeouts.total` does not apply, so the download may take any time. A `timeouts.total` that you
    /// set in the request's options or in the client's configuration applies. The task's `Deadline.current` applies
    /// too. `timeouts.bodyIdle` ends a download that makes no progress.
    ///
    /// - Returns: the number of bytes that were written.
    /// - Throws: as ``send(_:)`` and ``ServiceResponse/download(to:)``.
    @discardableResult
    public func download(
        _ reference: String, to path: String, query: QueryItems = [:], fields: HTTPFields = [:],
        options: OptionsChange? = nil
    ) async throws -> Int {
        let isLimited = configuration.timeouts.isTotalChosen
        return try await get(reference, query: query, fields: fields) { changed in
            options?(&changed)
            if !isLimited, changed.timeouts.total == .inherited { changed.timeouts.total = .unlimited }
        }.download(to: path)
    }
}
