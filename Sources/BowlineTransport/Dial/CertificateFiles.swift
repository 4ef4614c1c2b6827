internal import BowlineCore
internal import BowlinePlatform
internal import NIOSSL

/// Reads certificates and keys in PEM from files, pipes and folders. Every call may block.
enum CertificateFiles {
    /// The maximum size of a file of certificates: hundreds of times the size of the system's own file.
    private static let sizeLimit = 64 << 20

    /// Returns the certificates in `pem`, in their order.
    ///
    /// - Throws: If there is no certificate, or one that cannot be read.
    static func certificates(in pem: [UInt8]) throws -> [NIOSSLCertificate] {
        try NIOSSLCertificate.fromPEMBytes(withoutByteOrderMarks(pem))
    }

    /// Returns the certificates in a file or a pipe, in their order.
    ///
    /// - Throws: `FileFailure`, or if there is no certificate, or one that cannot be read.
    static func certificates(inFile path: String) throws -> [NIOSSLCertificate] {
        try certificates(in: bytes(of: path))
    }

    /// Returns the private key in `pem`.
    ///
    /// - Throws: If there is no key, or the passphrase is wrong.
    static func key(in pem: [UInt8], passphrase: String?) throws -> NIOSSLPrivateKey {
        let bytes = withoutByteOrderMarks(pem)
        // The library accepts neither an empty array nor bytes above 127.
        guard !bytes.isEmpty else { throw NIOSSLError.failedToLoadPrivateKey }
        guard let passphrase else { return try NIOSSLPrivateKey(bytes: bytes, format: .pem) }
        return try NIOSSLPrivateKey(bytes: bytes, format: .pem) { (set: ([UInt8]) -> Void) in
            set(Array(passphrase.utf8))
        }
    }

    /// Whether the key in `pem` needs a passphrase (RFC 7468 §11, RFC 1421 §4.6.1.1).
    static func isEncrypted(_ pem: [UInt8]) -> Bool {
        let text = String(decoding: pem, as: UTF8.self)
        return text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED")
    }

    /// Returns `pem` without byte order marks (U+FEFF), which some editors put before the text. If such files were
    /// joined, there are also marks in the middle of the text. The TLS library would skip the certificate after such a
    /// mark.
    static func withoutByteOrderMarks(_ pem: [UInt8]) -> [UInt8] {
        guard pem.contains(0xEF) else { return pem }
        var kept: [UInt8] = []
        kept.reserveCapacity(pem.count)
        var index = 0
        while index < pem.count {
            if pem[index...].starts(with: [0xEF, 0xBB, 0xBF]) {
                index += 3
            } else {
                kept.append(pem[index])
                index += 1
            }
        }
        return kept
    }

    /// Returns the bytes of a file or a pipe.
    ///
    /// - Throws: `FileFailure`.
    static func bytes(of path: String) throws -> [UInt8] {
        guard !path.utf8.contains(0) else { throw FileFailure("read", path, number: EINVAL) }
        let opened = SystemCall.retryOnInterrupt(failure: nil) { fopen(path, "rb") }
        guard let file = opened else { throw FileFailure("read", path) }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            bytes += chunk[..<count]
            guard bytes.count <= sizeLimit else { throw FileFailure("read", path, number: EFBIG) }
            if count < chunk.count {
                guard ferror(file) != 0 else { return bytes }
                guard errno == EINTR else { throw FileFailure("read", path) }
                clearerr(file)
            }
        }
    }

    /// Returns the bytes of a regular file. Unlike ``bytes(of:)``, it never waits for the writer of a pipe.
    ///
    /// - Throws: `FileFailure`.
    static func bytes(ofRegularFile path: String) throws -> [UInt8] {
        let file = try FileDescriptor(reading: path)
        var bytes: [UInt8] = []
        while let chunk = try file.read(upTo: 65_536) {
            bytes += chunk.readableBytesView
            guard bytes.count <= sizeLimit else { throw FileFailure("read", path, number: EFBIG) }
        }
        return bytes
    }

    /// Whether the file at `path` is a regular file. Follows symbolic links.
    static func isRegularFile(_ path: String) -> Bool {
        var facts = stat()
        return stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFREG
    }

    /// Returns the names of the files in a folder, sorted and without hidden ones; empty if the folder cannot be read.
    static func names(in folder: String) -> [String] {
        guard !folder.utf8.contains(0), let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.utf8.starts(with: ".".utf8) { names.append(name) }
        }
        return names.sorted()
    }

    /// Returns the value of a variable of this process's environment.
    static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}

/// The certificates of ``TLSOptions/TrustRoots/system``: those of the operating system. If `SSL_CERT_FILE` or
/// `SSL_CERT_DIR` is set, the certificates that these variables name replace them.
struct SystemRoots: Sendable, Hashable {
    private let file: String?
    private let folders: [String]

    /// - Parameter variable: Looks up a variable of the environment.
    init(_ variable: (String) -> String?) {
        file = variable("SSL_CERT_FILE").flatMap { $0.isEmpty ? nil : $0 }
        let list = variable("SSL_CERT_DIR") ?? ""
        folders = list.utf8.split(separator: UInt8(ascii: ":")).map { String(Substring($0)) }
    }

    /// Reads the certificates.
    ///
    /// - Throws: `invalidConfiguration` if the variables are set and no certificate is found.
    func load() throws -> NIOSSLTrustRoots {
        guard file != nil || !folders.isEmpty else { return .default }
        var found: Set<NIOSSLCertificate> = []
        if let file {
            do {
                let bytes = try CertificateFiles.bytes(ofRegularFile: file)
                found.formUnion(try CertificateFiles.certificates(in: bytes))
            } catch {
                let isOtherKind = [EINVAL, EISDIR, ENXIO].contains((error as? FileFailure)?.number)
                throw ServiceError(
                    .invalidConfiguration,
                    isOtherKind
                        ? "tls.trustRoots: SSL_CERT_FILE does not name a regular file"
                        : "tls.trustRoots: no certificate in PEM could be read from SSL_CERT_FILE",
                    underlying: error)
            }
        }
        for folder in folders { found.formUnion(Self.certificates(in: folder)) }
        guard !found.isEmpty else {
            throw ServiceError(
                .invalidConfiguration, "tls.trustRoots: no certificate in PEM could be read from SSL_CERT_DIR")
        }
        return .certificates(Array(found))
    }

    /// Returns the certificates in all files of a folder. Skips files without certificates, as other libraries do: such
    /// folders also contain keys and notes.
    private static func certificates(in folder: String) -> [NIOSSLCertificate] {
        CertificateFiles.names(in: folder).map { "\(folder)/\($0)" }.filter(CertificateFiles.isRegularFile).flatMap {
            // Another kind of file may have replaced the regular file since the check.
            let bytes = try? CertificateFiles.bytes(ofRegularFile: $0)
            return bytes.flatMap { try? CertificateFiles.certificates(in: $0) } ?? []
        }
    }
}
