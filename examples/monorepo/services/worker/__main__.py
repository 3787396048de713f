from company import config
from worker.jobs import total

if config.load("worker")["log"] == "debug":
    print("adding 1 to 10")
print(total.run(range(1, 11)))
