/// The version of this package: the newest dated one of CHANGELOG.md, until there is one `0.1.0-dev`. A test compares them.
package enum BowlineVersion {
    package static let text = "0.1.0-dev"
}
