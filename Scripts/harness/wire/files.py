"""Reads and writes lines of JSON, with bytes in base64."""

import base64
import json


def encoded(content):
    return base64.b64encode(content).decode("ascii")


def decoded(text):
    return base64.b64decode(text)


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]
