# Sourced after lib.sh by tests that run strake on every rung of the sandbox ladder; needs root.
#
#     root    as we are
#     range   the user nobody, with a range of ids in /etc/subuid and /etc/subgid
#     one     the user nobody, with none
#     chroot  root as in a container of docker's default profile: fourteen capabilities, and a
#             filter that knows neither mounts nor namespaces

need setpriv unshare newuidmap
chmod 755 "$work"
# The user nobody may have no way to where the binary was built.
cp "$strake" "$work/strake"
strake=$work/strake
nobody=65534

# on_rung RUNG COMMAND...: with a home and a store of the rung's own.
on_rung() {
  local rung=$1 home=$work/as-$1
  shift
  mkdir -p "$home"
  local environment=(env "HOME=$home" "STRAKE_ROOT=$home/store")
  case $rung in
    root) "${environment[@]}" STRAKE_ISOLATION=root "$@" ;;
    range) chown $nobody:$nobody "$home"
      as_nobody "nobody:1000000:65536" "${environment[@]}" STRAKE_ISOLATION=user "$@" ;;
    one) chown $nobody:$nobody "$home"
      as_nobody "" "${environment[@]}" STRAKE_ISOLATION=user-one "$@" ;;
    chroot) "${environment[@]}" STRAKE_ISOLATION=chroot "${STRAKE_CONTAINER:?}" "$@" ;;
  esac
}

# as_nobody RANGES COMMAND...: a private mount namespace has its own files of ranges; the machine's
# stay as they are.
as_nobody() {
  local ranges=$1
  shift
  echo "$ranges" >"$work/ranges"
  unshare --mount --propagation private bash -c '
    mount --bind "$1" /etc/subuid && mount --bind "$1" /etc/subgid && shift &&
    exec setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"' - "$work/ranges" $nobody "$@"
}
