import unittest

from api.routes import hello
from company import config


class Hello(unittest.TestCase):
    def test_greets_as_configured(self):
        self.assertEqual(hello.answer("you", config.load("api")), "hello you (en)")
