public import BowlineCore
internal import BowlineTransport

extension RequestBody {
    /// A file's bytes, read while they are sent. Each attempt opens the file again.
    ///
    /// ```swift
    /// let response = try await client.put("backups/today", body: .file("backup.tar"))
    /// ```
    /// The file's length is read when you make the body. If the file is longer or shorter when it is sent, the request
    /// fails with `requestBodyLengthMismatch`. If the file no longer exists, the request fails with
    /// `requestBodyFailed`. Both rules apply to an empty file too. A file that reports length zero but has content,
    /// like files under `/proc`, is sent to its end with unknown length.
    ///
    /// - Parameters:
    ///   - path: The path of a regular file. For pipes and devices use ``stream(_:length:)``.
    ///   - contentType: The file's media type, for example `application/x-tar`; nil: the request's `Content-Type`, if
    ///     it has one.
    /// - Throws: ``ServiceError`` `fileFailed` if there is no such file, it cannot be read, or no threads can be
    ///   started to read it; `invalidConfiguration` if the program has disabled SwiftNIO's singletons.
    public static func file(_ path: String, contentType: String? = nil) async throws -> RequestBody {
        let chunks = try await FileChunks(path: path)
        // An empty file is declared empty. An ordinary sequence would be sent chunked.
        var body: RequestBody =
            chunks.length == 0 ? .emptyFile { chunks } : .replayable(length: chunks.length) { chunks }
        body.contentType = contentType
        return body
    }
}
