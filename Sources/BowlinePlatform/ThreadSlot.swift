/// A place that holds another object on each thread.
package struct ThreadSlot<Object: AnyObject & Sendable>: Sendable {
    /// nil: the system has no key left. Then the slot is empty on every thread.
    private let key: pthread_key_t?

    /// Makes a slot that is empty on all threads. The slot is never freed, so make it once, as a static constant.
    package init() {
        var key = pthread_key_t()
        self.key = pthread_key_create(&key, nil) == 0 ? key : nil
    }

    /// The object of the calling thread.
    package var object: Object? {
        guard let key, let pointer = pthread_getspecific(key) else { return nil }
        return Unmanaged<Object>.fromOpaque(pointer).takeUnretainedValue()
    }

    /// Runs `body` with `object` as the object of the calling thread. Afterwards the thread has its previous object.
    package func hold<Result>(_ object: Object, while body: () throws -> Result) rethrows -> Result {
        guard let key else { return try body() }
        let previous = pthread_getspecific(key)
        pthread_setspecific(key, Unmanaged.passUnretained(object).toOpaque())
        defer { pthread_setspecific(key, previous) }
        return try withExtendedLifetime(object, body)
    }
}
