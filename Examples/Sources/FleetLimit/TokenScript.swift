/// The script that takes tokens of a limit, in one step for all processes.
///
/// It is the generic cell rate algorithm (GCRA): the only value per scope is the time at which the bucket is full again.
/// Each token that is taken moves this time by the interval between two tokens. The store's own clock is used, so the
/// clocks of the processes need not agree.
///
/// A scope that the store does not know begins with an empty bucket. So a store that has lost its data, for example in a
/// restart, does not give the burst a second time. The value is kept for an hour after its last use.
enum TokenScript {
    /// Takes tokens.
    ///
    /// - Key: the scope.
    /// - Arguments: how many tokens are wanted; the microseconds from one token to the next; the most tokens in the
    ///   bucket.
    /// - Result: how many tokens were taken; the microseconds until the next token, 0 if all were taken.
    static let text = """
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local wanted = tonumber(ARGV[1])
        local interval = tonumber(ARGV[2])
        local room = interval * tonumber(ARGV[3])
        local full = tonumber(redis.call('GET', KEYS[1])) or now + room
        full = math.min(math.max(full, now), now + room)
        local taken = math.min(wanted, math.floor((now + room - full) / interval))
        full = full + taken * interval
        redis.call('SET', KEYS[1], string.format('%.3f', full), 'EX', 3600)
        if taken == wanted then return {taken, 0} end
        return {taken, math.ceil(full + interval - room - now)}
        """
}
