/// A value behind a reference. Making a copy only changes a reference count. The value itself is copied only when one
/// of several holders changes it.
///
/// Used for large values that pass through many suspended functions. Without the reference, the value would take space
/// in the frame of each function.
///
/// Inlinable, like the properties that use it: a borrow that is not inlined costs an allocation.
@usableFromInline
struct CopyOnWrite<Value: Sendable>: Sendable {
    @usableFromInline
    // Safety: `value` is changed only through the only reference to this storage, so by one task at a time.
    final class Storage: @unchecked Sendable {
        // No other access can overlap a change, because a change has exclusive access to the only reference.
        @exclusivity(unchecked) @usableFromInline var value: Value

        @inlinable
        init(_ value: Value) {
            self.value = value
        }
    }

    @usableFromInline var storage: Storage

    @inlinable
    init(_ value: Value) {
        storage = Storage(value)
    }

    @inlinable @inline(__always) var value: Value {
        _read { yield storage.value }
        _modify {
            if !isKnownUniquelyReferenced(&storage) { storage = Storage(storage.value) }
            yield &storage.value
        }
    }
}
