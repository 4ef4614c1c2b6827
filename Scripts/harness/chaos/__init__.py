"""Five real servers of which one is killed, stopped, slowed or answers 503, and the clients that call them."""
