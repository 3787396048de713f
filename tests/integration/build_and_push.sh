#!/bin/bash
# A pushed image is right to others: skopeo and umoci see what the Dockerfile says.
. "$(dirname "$0")/lib.sh"
need_root
need skopeo umoci python3
local_registry
busybox_base localhost/busybox

mkdir -p app/data
echo 'print("hi")' >app/data/run.py
ln -s data/run.py app/link
chmod 4755 app/data/run.py
cat >app/Dockerfile <<'END'
FROM localhost/busybox
ENV GREETING="hello world" PORT=8080
LABEL org.example.title="an app"
RUN echo "root:x:0:0:root:/root:/bin/sh" > /etc/passwd && echo "app:x:1000:1000::/home/app:/bin/sh" >> /etc/passwd
RUN mkdir -p /opt && echo old > /opt/gone && echo kept > /opt/kept && ln /opt/kept /opt/hard && chown 7:8 /opt/kept
RUN rm /opt/gone
WORKDIR /srv/app
COPY --chown=app data/ ./data/
COPY link /srv/app/
EXPOSE $PORT/tcp
VOLUME /cache
USER app
STOPSIGNAL SIGINT
HEALTHCHECK --interval=30s CMD wget -q localhost
ENTRYPOINT ["/bin/busybox", "echo"]
CMD ["--input", "1234"]
END

image=$registry/team/app:1.0
digest=$("$strake" build --push -t "$image" --metadata-file meta.json app 2>build.log) || { cat build.log; fail build; }
contains "metadata names the manifest" "$(cat meta.json)" '"containerimage.digest"'

config=$(skopeo inspect --tls-verify=false --raw --config "docker://$image")
value() { python3 -c 'import json,sys; v=json.loads(sys.argv[1])
for k in sys.argv[2].split("."): v=v[k]
print(json.dumps(v))' "$config" "$1"; }
equal "ENV" "$(value config.Env)" '["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GREETING=hello world", "PORT=8080"]'
equal "ENTRYPOINT" "$(value config.Entrypoint)" '["/bin/busybox", "echo"]'
equal "CMD" "$(value config.Cmd)" '["--input", "1234"]'
equal "USER" "$(value config.User)" '"app"'
equal "WORKDIR" "$(value config.WorkingDir)" '"/srv/app"'
equal "EXPOSE" "$(value config.ExposedPorts)" '{"8080/tcp": {}}'
equal "VOLUME" "$(value config.Volumes)" '{"/cache": {}}'
equal "LABEL" "$(value config.Labels)" '{"org.example.title": "an app"}'
equal "STOPSIGNAL" "$(value config.StopSignal)" '"SIGINT"'
equal "HEALTHCHECK" "$(value config.Healthcheck)" '{"Test": ["CMD-SHELL", "wget -q localhost"], "Interval": 30000000000}'

check "skopeo copies it to a layout" skopeo copy -q --src-tls-verify=false "docker://$image" oci:layout:1.0
check "umoci unpacks it" umoci unpack --image layout:1.0 bundle
cd bundle/rootfs
[ ! -e opt/gone ] || fail "a deleted file is there"
equal "hard links stay one file" "$(stat -c %i opt/kept)" "$(stat -c %i opt/hard)"
equal "owners by RUN" "$(stat -c %u:%g opt/hard)" 7:8
equal "owner by COPY --chown" "$(stat -c '%u:%g %a' srv/app/data/run.py)" "1000:1000 4755"
equal "a named symlink is followed" "$(stat -c %F srv/app/link)" "regular file"
equal "content" "$(cat srv/app/data/run.py)" 'print("hi")'
[ ! -s etc/resolv.conf ] || fail "resolv.conf is in the image"
[ ! -e dev/null ] || fail "device nodes are in the image"
cd "$work"

"$strake" build --push -t "$image" app 2>again.log >/dev/null
equal "nothing runs again" "$(count ' CACHED' again.log)" "$(count '\] \(RUN\|COPY\|WORKDIR\) ' again.log)"
equal "the same digest is pushed" "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$image")" \
  "$(python3 -c 'import json; print(json.load(open("meta.json"))["containerimage.digest"])')"

# Another repository of the same registry gets the layers without sending them.
"$strake" tag "$image" "$registry/other/app:2"
check "push to another repository" "$strake" push "$registry/other/app:2"
equal "it is the same image" "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$registry/other/app:2")" \
  "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$image")"

# And back again into an empty store.
export STRAKE_ROOT=$work/store2
printf 'FROM %s\nRUN ["/bin/busybox", "cat", "/srv/app/data/run.py"]\n' "$image" >Dockerfile.pulled
"$strake" build -f Dockerfile.pulled -t pulled . 2>pulled.log >/dev/null || { cat pulled.log; fail "build from the pushed image"; }
contains "a pulled image runs" "$(cat pulled.log)" 'print("hi")'
