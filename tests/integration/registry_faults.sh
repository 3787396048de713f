#!/bin/bash
# A registry that fails in every way we know of: what may pass is healed, what stays ends in an error,
# and no image that arrives is a wrong one. tests/bench/registry_soak.py is the long form.
. "$(dirname "$0")/lib.sh"
need_root
need docker-registry skopeo python3
soak=$here/../bench/registry_soak.py

python3 "$soak" --each --pulls 30 --pushes 15 --builds 10 --rate 20 --seed 7 --parallel 32 >report 2>&1 ||
  { cat report; fail "a registry that fails one in five requests"; }
cat report
ok "each fault once, each fault always, and one in five requests"
