/// A value behind a reference. A copy costs one reference count. The value itself is copied only when one of several
/// holders changes it.
///
/// For values that pass through many suspended functions: a large value would take space in the frame of each of them.
///
/// Inlinable, like the properties that use it: a borrow that is not inlined costs an allocation.
@usableFromInline
struct CopyOnWrite<Value: Sendable>: Sendable {
    @usableFromInline
    // Safety: `value` is changed only through a `CopyOnWrite` that is its one holder, so by one task at a time.
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
