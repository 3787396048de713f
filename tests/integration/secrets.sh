#!/bin/bash
# A secret reaches the step that asks for it, and nothing else: every file of the store, every
# output, log and record is searched for it in raw, base64 and hex form.
. "$(dirname "$0")/lib.sh"
need_root
need python3
busybox_base localhost/base
local_registry

# Two secrets that are found in nothing else.
file_secret=$(head -c 24 /dev/urandom | base64 | tr -d '/+=')
env_secret=$(head -c 24 /dev/urandom | base64 | tr -d '/+=')
mkdir -m 700 given
printf '%s' "$file_secret" >given/token
export THE_SECRET=$env_secret

mkdir context
cat >context/Dockerfile <<'END'
FROM localhost/base
USER 1000
RUN --mount=type=secret,id=token,uid=1000 stat -c %u:%a /run/secrets/token && wc -c </run/secrets/token
USER 0
RUN --mount=type=secret,id=token,target=/etc/own,mode=0440,gid=5 stat -c %u:%g:%a /etc/own && sha256sum </etc/own >/digest
RUN --mount=type=secret,id=THE_SECRET,env=TOKEN test -n "$TOKEN" && test ! -e /run/secrets/THE_SECRET && echo "${#TOKEN}"
RUN --mount=type=secret,id=absent test ! -e /run/secrets/absent
RUN --mount=type=secret,id=token echo shown: && cat /run/secrets/token && echo
END
"$strake" build --progress plain --log-level debug --no-cache --push -t "$registry/app:1" \
  --secret id=token,src=given/token --secret id=THE_SECRET --metadata-file meta.json \
  --explain-cache -o type=oci,dest=image.tar -o type=image context >id 2>log || { cat log >&2; fail "build with secrets"; }
contains "a secret file has mode 0400 and its owner" "$(cat log)" "1000:400"
contains "a secret file has the mode and group asked for" "$(cat log)" "0:5:440"
contains "a secret that a command prints is not shown" "$(cat log)" "****"
contains "a secret that was not given is noted" "$(cat log)" 'not given the secret "absent"'
mkdir layout && tar -xf image.tar -C layout
"$strake" history --no-trunc localhost/base >/dev/null
"$strake" inspect "$registry/app:1" >inspected
"$strake" history --no-trunc "$registry/app:1" >history

# Digests of the secret are fine; the secret is not. Layers are looked at unpacked too (store).
cat >search.py <<'END'
import base64, gzip, os, sys, zlib
secrets = [s.encode() for s in sys.argv[2:]]
needles = {}
for secret in secrets:
    needles[secret] = "raw"
    needles[secret.hex().encode()] = "hex"
    needles[secret.hex().upper().encode()] = "hex"
    for shift in range(3):  # whatever stands before it
        text = base64.b64encode(b"x" * shift + secret)
        needles[text[4:len(text) - 4]] = "base64"
found = files = 0
for top, _, names in os.walk(sys.argv[1]):
    if top.endswith("/given"):
        continue
    for name in names:
        path = os.path.join(top, name)
        if os.path.islink(path) or not os.path.isfile(path):
            continue
        files += 1
        data = open(path, "rb").read()
        if data[:2] == b"\x1f\x8b":
            inflated = b""
            rest = data
            while rest[:2] == b"\x1f\x8b":
                member = zlib.decompressobj(31)
                inflated += member.decompress(rest)
                rest = member.unused_data
            data += inflated
        for needle, form in needles.items():
            if needle in data:
                print(f"{path}: {form}")
                found += 1
print(f"{files} files, {found} found")
sys.exit(1 if found or files < 20 else 0)
END
check "the secret is nowhere: store, outputs, registry, logs" python3 search.py "$work" "$file_secret" "$env_secret"
echo "$file_secret" >planted
if python3 search.py "$work" "$file_secret" >/dev/null; then fail "the search finds what is there"; fi
rm planted
ok "the search finds what is there"

before=$(cat id)
printf '%s' "another value" >given/token
"$strake" build --progress plain --secret id=token,src=given/token --secret id=THE_SECRET context >id 2>log
equal "another value of a secret is no reason to build again" "$(count ' DONE' log)" 0

# kill -9 while the secret is mounted.
printf '%s' "$file_secret" >given/token
printf 'FROM localhost/base\nRUN --mount=type=secret,id=token echo started && sleep 60\n' >context/Dockerfile
"$strake" build --progress plain --secret id=token,src=given/token context >/dev/null 2>log &
builder=$!
for _ in $(seq 100); do grep -q '^.*started$' log && break; sleep 0.1; done
kill -9 $builder
wait $builder 2>/dev/null || true
check "nothing is left of it by kill -9" python3 search.py "$work" "$file_secret" "$env_secret"

refused 3 "a secret file that is not there" "no-such-file" "$strake" build --secret id=token,src=no-such-file context
refused 2 "a secret of a variable that is not set" "NOT_SET" "$strake" build --secret id=token,env=NOT_SET context
printf 'FROM localhost/base\nRUN --mount=type=secret,id=tokn,required true\n' >context/Dockerfile
refused 3 "a required secret that was not given" 'did you mean "token"?' "$strake" build --secret id=token,src=given/token context
