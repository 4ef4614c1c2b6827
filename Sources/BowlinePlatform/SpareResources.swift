/// Checks whether the process can get more of a resource, by taking it and giving it back.
package enum SpareResources {
    /// Returns the system's reason why the process cannot open `count` more descriptors (two or more); nil: the process
    /// can open them.
    package static func lackOfDescriptors(_ count: Int) -> String? {
        // A pipe needs neither a file nor a network.
        var held: [CInt] = [-1, -1]
        guard pipe(&held) == 0 else { return String(cString: strerror(errno)) }
        defer { for descriptor in held { close(descriptor) } }
        while held.count < count {
            let descriptor = dup(held[0])
            guard descriptor >= 0 else { return String(cString: strerror(errno)) }
            held.append(descriptor)
        }
        return nil
    }

    /// Returns the system's reason why the process cannot start `count` more threads; nil: the process can start them.
    package static func lackOfThreads(_ count: Int) -> String? {
        let barrier = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        pthread_mutex_init(barrier, nil)
        pthread_mutex_lock(barrier)
        var held: [PlatformThread] = []
        defer {
            pthread_mutex_unlock(barrier)
            for thread in held { thread.join() }
            pthread_mutex_destroy(barrier)
            barrier.deallocate()
        }
        // Safety: freed after the threads have ended.
        nonisolated(unsafe) let shared = barrier
        while held.count < count {
            do {
                let thread = try PlatformThread {
                    // Each thread waits here, so that all of them exist at the same time.
                    pthread_mutex_lock(shared)
                    pthread_mutex_unlock(shared)
                }
                held.append(thread)
            } catch {
                return error.reason
            }
        }
        return nil
    }
}
