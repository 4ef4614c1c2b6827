public import BowlineCore
internal import BowlineTransport

extension ServiceResponse {
    /// Writes the body to a file while it arrives. A slow disk slows the service down.
    ///
    /// At `path` there is either the whole body or the earlier file, never a part of the body. The bytes are first
    /// written to a partial file in the same folder, which is renamed at the end. If the download fails or is
    /// cancelled, the partial file is removed. An existing file is replaced. A symbolic link stays: the file that it
    /// leads to is replaced or created. For progress, set `onDownloadProgress` in the request's options.
    ///
    /// A device or a pipe is not replaced: the bytes are written into it as they arrive. A pipe needs a reader. Without
    /// a reader the download fails at once. If the reader is slow, the download waits until the reader reads or the
    /// task is cancelled.
    ///
    /// The request's `timeouts.total` includes the download. `client.download` has no total timeout unless you set one.
    ///
    /// If you did not call `expecting`, a status other than 2xx fails with `unexpectedStatus`, and no file is made.
    ///
    /// - Parameter path: The file's path. Its folder must exist.
    /// - Returns: the number of bytes that were written.
    /// - Throws: ``ServiceError``: `unexpectedStatus`; `fileFailed` if the file cannot be written, or no threads can be
    ///   started to write it; `invalidConfiguration` if the program has disabled SwiftNIO's singletons; any error of
    ///   reading the body.
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
