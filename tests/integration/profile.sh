#!/bin/bash
# build --profile: a Chrome trace of what was done.
. "$(dirname "$0")/lib.sh"
need_root
busybox_base localhost/busybox
local_registry
mkdir app
echo file >app/file
printf 'FROM localhost/busybox\nRUN echo one > /one\nCOPY file /file\n' >app/Dockerfile

# spans FILE: the names of its spans. What does not nest in its thread is an error.
spans() {
  python3 - "$1" <<'END'
import collections, json, sys
threads = collections.defaultdict(list)
for event in json.load(open(sys.argv[1]))["traceEvents"]:
    if event["ph"] == "X":
        threads[event["tid"]].append(event)
for events in threads.values():
    open_until = []
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        end = event["ts"] + event["dur"]
        while open_until and open_until[-1] <= event["ts"]:
            open_until.pop()
        assert not open_until or end <= open_until[-1] + 1, event
        open_until.append(end)
print(" ".join(sorted({event["name"] for events in threads.values() for event in events})))
END
}

check "a build with a profile" "$strake" build --profile=trace.json --push -t "$registry/app:1" app
names=" $(spans trace.json) "
for name in plan probe step run seal assemble push; do contains "a span" "$names" " $name "; done
check "a cached one replaces it" "$strake" build --profile trace.json -t app app
lacks "and ran nothing" " $(spans trace.json) " " run "

printf 'FROM localhost/busybox\nRUN exit 3\n' >app/Dockerfile
refused 1 "a build that fails" "" "$strake" build --profile=failed.json app
contains "has its profile too" " $(spans failed.json) " " run "

printf 'FROM localhost/busybox\nRUN echo two > /two\n' >app/Dockerfile
refused 3 "a profile that cannot be written" "no/such/trace.json" \
  "$strake" build --profile=no/such/trace.json -t app app
lacks "ends the build before it begins" "$(cat err)" "RUN"
refused 6 "a directory is no place for it" "app" "$strake" build --profile=app -t app app
