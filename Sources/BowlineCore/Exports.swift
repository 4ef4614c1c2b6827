// `HTTPTypes` is the currency for method, status and fields, and `ByteBuffer` for bodies: a user of Bowline never has to
// import their modules as well.
@_exported public import HTTPTypes

@_exported public import struct NIOCore.ByteBuffer
