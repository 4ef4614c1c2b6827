internal import BowlineCore
internal import BowlinePlatform

/// The files of ``TLSOptions/Identity/files(certificate:key:passphrase:)``, to read them again when they have changed.
struct IdentityFiles: Sendable {
    /// The state of both files; nil for a file that does not exist or is not regular.
    struct Stamp: Sendable, Hashable {
        let certificate: FileStamp?
        let key: FileStamp?
    }

    private let certificatePath: String
    private let keyPath: String
    private let passphrase: String?

    /// - Returns: nil if the identity is no pair of regular files. A pipe can be read only once.
    init?(_ identity: TLSOptions.Identity?) {
        guard case .files(let certificate, let key, let passphrase)? = identity else { return nil }
        certificatePath = certificate
        keyPath = key
        self.passphrase = passphrase
        guard CertificateFiles.isRegularFile(certificate), CertificateFiles.isRegularFile(key) else { return nil }
    }

    /// The state of the files now. May block.
    var stamp: Stamp {
        Stamp(
            certificate: FileStamp(ofRegularFile: certificatePath), key: FileStamp(ofRegularFile: keyPath))
    }

    /// Reads both files. May block.
    ///
    /// - Returns: The texts of both files.
    /// - Throws: `FileFailure`.
    func read() throws -> TLSOptions.Identity {
        // Not `bytes(of:)`: a pipe may have replaced the file, and it would wait for the pipe's writer.
        let certificate = try CertificateFiles.bytes(ofRegularFile: certificatePath)
        let key = try CertificateFiles.bytes(ofRegularFile: keyPath)
        return .pem(
            certificate: String(decoding: certificate, as: UTF8.self), key: String(decoding: key, as: UTF8.self),
            passphrase: passphrase)
    }
}
