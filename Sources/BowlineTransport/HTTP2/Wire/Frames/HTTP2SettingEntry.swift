/// One setting as a SETTINGS frame contains it (RFC 9113 §6.5.1). The identifier and the value may be anything: the
/// session checks them.
package struct HTTP2SettingEntry: Sendable, Hashable {
    package var identifier: UInt16
    package var value: UInt32

    package init(identifier: UInt16, value: UInt32) {
        self.identifier = identifier
        self.value = value
    }
}
