public import BowlineCore
internal import BowlineTransport

extension RequestBody {
    /// A file's bytes, read as they are sent; each attempt opens the file anew.
    ///
    /// ```swift
    /// let response = try await client.put("backups/today", body: .file("backup.tar"))
    /// ```
    /// Its length is taken now: a file that is longer or shorter when it is sent fails the request with
    /// `requestBodyLengthMismatch`, and one that is gone by then with `requestBodyFailed`. That holds for an empty file too.
    /// A file that reports length zero and has content, as files under `/proc` do, is sent to its end, with unknown length.
    ///
    /// - Parameters:
    ///   - path: The file's path; a regular file. For pipes and devices use ``stream(_:length:)``.
    ///   - contentType: The file's media type, as `application/x-tar`; nil: the request's `Content-Type`, if it has one.
    /// - Throws: ``ServiceError`` `fileFailed` if there is no such file, it cannot be read, or no threads can be started to read it;
    ///   `invalidConfiguration` if the program has switched SwiftNIO's singletons off.
    public static func file(_ path: String, contentType: String? = nil) async throws -> RequestBody {
        let chunks = try await FileChunks(path: path)
        // An empty file is said to be so, where a sequence would be sent chunked.
        var body: RequestBody =
            chunks.length == 0 ? .emptyFile { chunks } : .replayable(length: chunks.length) { chunks }
        body.contentType = contentType
        return body
    }
}
