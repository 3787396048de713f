import pathlib
import tempfile
import unittest

from company import config


class Load(unittest.TestCase):
    def test_a_service_overrides_the_defaults(self):
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(name)
            (directory / "defaults.json").write_text('{"a": 1, "b": 2}')
            (directory / "api.json").write_text('{"b": 3}')
            self.assertEqual(config.load("api", directory), {"a": 1, "b": 3})


if __name__ == "__main__":
    unittest.main()
