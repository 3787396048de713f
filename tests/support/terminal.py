#!/usr/bin/env python3
"""Runs a command on a terminal of its own and talks with it, as a user would.

    terminal.py [--size ROWSxCOLUMNS] [--timeout SECONDS] SCRIPT COMMAND...

SCRIPT is a file of lines, each a word and its text ("\\r", "\\x03" and the like are understood):

    expect TEXT     wait until the command has written this
    send TEXT       press these keys
    resize RxC      change the size of the terminal
    signal NAME     send the command a signal: TERM, INT, WINCH
    pause SECONDS   as users do; two signals of one kind in an instant are one
    raw yes|no      check whether the terminal passes on every key by itself

What the command writes goes to stdout; the exit status is the command's. After it the terminal has
to be as it was before, else the status is 99; when what is expected does not come it is 98.
"""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time


def set_size(terminal, text):
    rows, columns = map(int, text.split("x"))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Conversation:
    def __init__(self, command, size, timeout):
        self.deadline = time.monotonic() + timeout
        self.seen = b""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            set_size(0, size)
            os.execvp(command[0], command)
        set_size(self.terminal, size)
        self.before = termios.tcgetattr(self.terminal)

    def read(self, seconds):
        if not select.select([self.terminal], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.terminal, 65536)
        except OSError:
            return False
        self.seen += data
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return bool(data)

    def fail(self, message):
        print(f"\nterminal.py: {message}", file=sys.stderr)
        os.kill(self.pid, signal.SIGTERM)
        time.sleep(1)
        os.kill(self.pid, signal.SIGKILL)
        sys.exit(98)

    def expect(self, text):
        while text not in self.seen:
            if time.monotonic() > self.deadline:
                self.fail(f"{text!r} does not come")
            self.read(0.1)
        self.seen = self.seen.split(text, 1)[1]

    def expect_raw(self, wanted):
        while bool(termios.tcgetattr(self.terminal)[3] & termios.ICANON) == wanted:
            if time.monotonic() > self.deadline:
                self.fail("the terminal is not in the mode that was expected")
            self.read(0.02)

    def run_line(self, word, text):
        if word == "expect":
            self.expect(text)
        elif word == "send":
            os.write(self.terminal, text)
        elif word == "resize":
            set_size(self.terminal, text.decode())
        elif word == "signal":
            os.kill(self.pid, getattr(signal, "SIG" + text.decode()))
        elif word == "pause":
            time.sleep(float(text))
        elif word == "raw":
            self.expect_raw(text == b"yes")
        else:
            self.fail(f"there is no word {word!r}")

    def finish(self):
        while True:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.read(0.05)
            if ended:
                break
            if time.monotonic() > self.deadline:
                self.fail("the command does not end")
        while self.read(0):
            pass
        if termios.tcgetattr(self.terminal) != self.before:
            print("\nterminal.py: the terminal is not as it was", file=sys.stderr)
            return 99
        return os.waitstatus_to_exitcode(status)


def main():
    arguments = sys.argv[1:]
    size, timeout = "24x80", 60.0
    while arguments[0].startswith("--"):
        if arguments[0] == "--size":
            size = arguments[1]
        elif arguments[0] == "--timeout":
            timeout = float(arguments[1])
        arguments = arguments[2:]
    conversation = Conversation(arguments[1:], size, timeout)
    for line in open(arguments[0]):
        word, _, text = line.rstrip("\n").partition(" ")
        if word:
            conversation.run_line(word, text.encode().decode("unicode_escape").encode("latin-1"))
    status = conversation.finish()
    sys.exit(status if status >= 0 else 128 - status)


main()
