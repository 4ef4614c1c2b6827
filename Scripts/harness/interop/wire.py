"""A relay in front of a server that records the bytes of both sides in order."""

from harness.relay import Relay, RelayedConnection

KEPT = 4096


class Conversation(RelayedConnection):
    """One connection. `said` has (is_from_client, bytes) for each piece: the first bytes of the piece."""

    def __init__(self):
        self.said = []

    def is_passed(self, data, is_from_client):
        if data and len(self.said) < 1000:
            self.said.append((is_from_client, data[:KEPT]))
        return True

    def head(self, is_from_client):
        """The first head that this side sent, in lower case."""
        text = b"".join(data for side, data in self.said if side == is_from_client)
        return text.split(b"\r\n\r\n")[0].decode("latin-1").lower()


class Wire(Relay):
    def __init__(self, target):
        super().__init__(target)
        self.conversations = []

    def opened(self):
        self.conversations.append(Conversation())
        return self.conversations[-1]
