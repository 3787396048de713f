import sys

from api.routes import hello
from company import config

print(hello.answer(sys.argv[1] if len(sys.argv) > 1 else "world", config.load("api")))
