// Bowline's API uses `HTTPTypes` for method, status and fields, and `ByteBuffer` for bodies. They are exported, so that
// a user of Bowline does not have to import their modules.
@_exported public import HTTPTypes

@_exported public import struct NIOCore.ByteBuffer
