public import BowlineCore
internal import BowlineTransport

extension ServiceResponse {
    /// Writes the body to a file as it arrives; the service is slowed down to the disk's pace.
    ///
    /// Under the file's name there is the whole body or the earlier file, never a part of the body: the bytes go to a
    /// file beside it that takes the name at the end, and that disappears if the download fails or is cancelled. A file
    /// of that name is replaced. A symbolic link stays: the file that it leads to is replaced, or made. For progress, set
    /// `onDownloadProgress` in the request's options.
    ///
    /// A device or a pipe is not replaced but written into, as the bytes come. A pipe needs a reader: without one the download
    /// fails at once, and one whose reader is slow waits for it until the task is cancelled.
    ///
    /// The request's `timeouts.total` counts until the last byte; `client.download` has none unless asked.
    ///
    /// Unless `expecting` said which status is a success, any but 2xx is
    /// `unexpectedStatus`, and no file is made.
    ///
    /// - Parameter path: The file's path; its folder must be there.
    /// - Returns: how many bytes were written.
    /// - Throws: ``ServiceError``: `unexpectedStatus`; `fileFailed` if the file cannot be written, or no threads can be started to
    ///   write it; `invalidConfiguration` if the program has switched SwiftNIO's singletons off; else any error of reading.
    @discardableResult
    public func download(to path: String) async throws -> Int {
        let expected = try await expectingSuccess()
        do {
            return try await FileDownload(to: path).write(expected.body)
        } catch let error as ServiceError {
            throw error.status == nil ? expected.describing(error) : error
        }
    }
}
