/// One setting as it stands in a SETTINGS frame (RFC 9113 §6.5.1). Any identifier and any value can stand here: the
/// session checks them.
package struct HTTP2SettingEntry: Sendable, Hashable {
    package var identifier: UInt16
    package var value: UInt32

    package init(identifier: UInt16, value: UInt32) {
        self.identifier = identifier
        self.value = value
    }
}
