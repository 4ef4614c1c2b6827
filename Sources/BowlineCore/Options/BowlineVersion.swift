/// The version of this package: the newest dated version of CHANGELOG.md, or `0.1.0-dev` before the first dated
/// version. A test compares this text with CHANGELOG.md.
package enum BowlineVersion {
    package static let text = "0.1.0-dev"
}
