#!/usr/bin/env bash
# Proves the first page of the README on a fresh machine: an unpacked minimal Debian 12 in which
# only the README's own lines are run, once as root and once as an ordinary user with sudo.
#
#   scripts/local-dev/fresh-check.sh [--as root|user|both] [--run COMMAND]... [--refresh] [--keep]
#
#   --as       who runs it (both, first root, then the user)
#   --run      instead of `make scenario STORY=order-flow` and `make test`; may be given several times
#   --refresh  make the base system anew (otherwise at most 30 days old)
#   --keep     leave the systems on disk and print where they are
#
# What is tested is the committed HEAD of this repository. Needs root or sudo, the group `fresh` of
# deps.sh, 6 GB of disk and the network. Each command runs in mount, process, IPC and host name spaces of its
# own, pivoted into the system, so nothing can leak: whatever a command leaves running is reported, is
# a failure, and ends with its name space.
# Logs: reports/out/fresh-check/{root,user}/, the verdict in summary.txt beside them.
# Exit: 0 all passed, 1 a command failed, 2 the check itself could not run.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
self=$here/$(basename "${BASH_SOURCE[0]}")
repo=$(cd "$here/../.." && pwd)
cache=${BV_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/bitvelocity}
out=$repo/reports/out/fresh-check
codename=bookworm
base=$cache/fresh/$codename-$(dpkg --print-architecture).tar.gz
step_limit=45m

say() { printf 'fresh-check: %s\n' "$*"; }
die() {
    printf 'fresh-check: %s\n' "$*" >&2
    exit 2
}

# ---- inside the name spaces ---------------------------------------------------------------------

# fresh-check.sh --enter ROOT WHO COMMAND: we are the first process of fresh name spaces.
enter() {
    local root=$1 who=$2 command=$3 node
    mount --make-rprivate /
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount -o remount,ro,bind "$root/sys"
    mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
    for node in null zero full random urandom tty; do
        : >"$root/dev/$node"
        mount --bind "/dev/$node" "$root/dev/$node"
    done
    mkdir "$root/dev/pts" "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    ln -s /proc/self/fd/0 "$root/dev/stdin"
    ln -s /proc/self/fd/1 "$root/dev/stdout"
    ln -s /proc/self/fd/2 "$root/dev/stderr"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mkdir -m 1777 "$root/run/lock"
    hostname fresh
    mkdir -p "$root/.host"
    cd "$root"
    pivot_root . .host # not chroot: a chrooted process may not make user name spaces
    # shellcheck disable=SC2016 # expands inside
    exec chroot . /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        /bin/bash -c '
        umount -l /.host
        su - "$1" -c "$2" </dev/null
        rc=$?
        left() { for p in /proc/[0-9]*; do case $p in /proc/1 | /proc/$BASHPID) continue ;; esac; tr "\0" " " <"$p/cmdline"; done 2>/dev/null; }
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            found=$(left)
            [ -n "$found" ] || exit $rc
            sleep 0.2
        done
        echo "fresh-check: left running: $found" >&2
        exit $((rc == 0 ? 70 : rc))' enter "$who" "$command"
}

# ---- the system ---------------------------------------------------------------------------------

# The host's Debian sources as "URI RELEASE COMPONENT", from apt itself, whatever form they have.
host_sources() {
    # shellcheck disable=SC2016 # $(...) is apt's own
    apt-get indextargets --format '$(ORIGIN)|$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        sed -n 's/^Debian|//p' | grep -E " $codename(-updates|-security)? " | sort -u
}

make_base() {
    local tmp mirror
    if [ -f "$base" ] && [ -z "$refresh" ] && [ -z "$(find "$base" -mtime +30)" ]; then return; fi
    say "making the base system (debootstrap minbase $codename)"
    mkdir -p "$(dirname "$base")" "$out"
    tmp=$work/base
    mirror=$(host_sources | awk -v c="$codename" '$2 == c { print $1; exit }')
    # shellcheck disable=SC2086 # no mirror known: debootstrap's own default
    debootstrap --variant=minbase "$codename" "$tmp" ${mirror:-} >"$out/debootstrap.log" 2>&1 || {
        tail -n 20 "$out/debootstrap.log" >&2
        die "debootstrap failed (whole log: $out/debootstrap.log)"
    }
    rm -rf "$tmp"/var/cache/apt/archives/*.deb "$tmp"/var/lib/apt/lists/*
    tar --numeric-owner --one-file-system -C "$tmp" -cf - . | gzip -1 >"$base.new"
    mv "$base.new" "$base"
    rm -rf --one-file-system "$tmp"
}

# What this host had to be told to reach its package sources; no credentials, nothing else of the host.
copy_host_settings() { # ROOT HOME
    local root=$1 home=$1$2 f v
    rm -f "$root/etc/resolv.conf"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    printf '127.0.0.1 localhost fresh\n::1 localhost ip6-localhost\n' >"$root/etc/hosts"
    if [ -n "$(host_sources)" ]; then
        host_sources | sed 's/^/deb /' >"$root/etc/apt/sources.list"
    fi
    for f in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
        if grep -qs '^ *Acquire::' "$f" && ! grep -qs 'GzipIndexes\|Languages' "$f"; then
            cp "$f" "$root/etc/apt/apt.conf.d/90host-$(basename "$f")"
        fi
    done
    mkdir -p "$root/usr/local/share/ca-certificates"
    cp -rL /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
    if grep -q '^deb https' "$root/etc/apt/sources.list"; then
        mkdir -p "$root/etc/ssl/certs"
        cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    fi
    for f in /etc/pip.conf "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf"; do
        if [ -f "$f" ]; then cat "$f" >>"$root/etc/pip.conf"; fi
    done
    if [ -f "$HOME/.m2/settings.xml" ]; then
        install -D -m 600 "$HOME/.m2/settings.xml" "$home/.m2/settings.xml"
    fi
    if [ -f "$HOME/.npmrc" ]; then
        grep -E '^(registry|proxy|https-proxy|noproxy|cafile|strict-ssl) *=' "$HOME/.npmrc" >"$home/.npmrc" || true
    fi
    for v in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_INDEX_URL PIP_CERT \
        NPM_CONFIG_REGISTRY NODE_EXTRA_CA_CERTS MAVEN_OPTS SSL_CERT_FILE; do
        [ -z "${!v:-}" ] || printf '%s=%s\n' "$v" "${!v}" >>"$root/etc/environment"
    done
    chown -R "$(stat -c %u:%g "$home")" "$home"
}

running= # the process to end when we are interrupted

run_in() { # ROOT WHO COMMAND; ends with us, even if we are killed
    setpriv --pdeathsig KILL timeout -s KILL "$step_limit" \
        setpriv --pdeathsig KILL unshare --mount --pid --uts --ipc --fork --kill-child \
        "$BASH" "$self" --enter "$1" "$2" "$3" &
    running=$!
    local rc=0
    wait "$running" || rc=$? # in the background, so that a signal is served at once
    running=
    return "$rc"
}

received_bytes() { awk -F'[: ]+' 'NR > 2 && $2 != "lo" { s += $3 } END { printf "%.0f", s }' /proc/net/dev; }

step() { # NAME WHO COMMAND -> a line of the summary; logs/NN-NAME.log
    local name=$1 as=$2 command=$3 log t0 b0 rc=0
    steps=$((steps + 1))
    log=$logs/$(printf '%02d' $steps)-$name.log
    say "$who: $command"
    t0=$(date +%s%N)
    b0=$(received_bytes)
    printf '$ %s\n' "$command" >"$log"
    run_in "$root" "$as" "$command" >>"$log" 2>&1 || rc=$?
    printf '%-5s %-4s %4d s  %5d MB received  %s%s\n' "$who" "$([ $rc = 0 ] && echo ok || echo FAIL)" \
        $((($(date +%s%N) - t0) / 1000000000)) $((($(received_bytes) - b0) / 1000000)) "$command" \
        "$([ $rc = 0 ] || echo "  (status $rc)")" | tee -a "$out/summary.txt"
    if [ $rc != 0 ]; then
        tail -n 40 "$log" >&2
        say "$who: failed, whole log: $log"
        return 1
    fi
}

check_as() { # root | user
    local who=$1 login=root home=/root logs=$out/$1 root=$work/$1 steps=0 command rc=0
    if [ "$who" = user ]; then
        login=dev
        home=/home/dev
    fi
    rm -rf "$logs"
    mkdir -p "$logs" "$root"
    tar --numeric-owner -C "$root" -xzf "$base"
    if [ "$who" = user ]; then chroot "$root" useradd -m -s /bin/bash "$login"; fi
    copy_host_settings "$root" "$home"
    cp "$work/repo.bundle" "$root/var/lib/bitvelocity.bundle"
    chmod 644 "$root/var/lib/bitvelocity.bundle"
    local sudo=
    if [ "$who" = user ]; then # such a machine has sudo; the README need not say so
        step setup root 'apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends sudo' || return 1
        echo "$login ALL=(ALL) NOPASSWD: ALL" >"$root/etc/sudoers.d/$login"
        sudo='sudo '
    fi
    {
        step apt "$login" "${sudo}apt-get update -q && ${sudo}apt-get install -q -y git make ca-certificates" &&
            step clone "$login" "git clone -q /var/lib/bitvelocity.bundle bitvelocity"
    } || return 1
    for command in "${commands[@]}"; do
        step "$(tr -cs 'a-z0-9' '-' <<<"$command" | cut -c1-24 | sed 's/-*$//')" "$login" \
            "cd ~/bitvelocity && $command" || { rc=1; break; }
    done
    printf '%-5s disk: %s MB of system and caches\n' "$who" "$(du -smx "$root" | cut -f1)" | tee -a "$out/summary.txt"
    if [ -d "$root$home/bitvelocity/reports/out" ]; then
        cp -a "$root$home/bitvelocity/reports/out" "$logs/reports"
    fi
    return "$rc"
}

# ---- main ---------------------------------------------------------------------------------------

# shellcheck disable=SC2317,SC2015 # called by the trap
cleanup() {
    local rc=$?
    trap '' INT TERM HUP
    if [ -n "$running" ]; then kill -KILL "$running" 2>/dev/null && wait "$running" 2>/dev/null || true; fi
    if [ -n "$keep" ]; then
        say "kept: $work"
    else
        rm -rf --one-file-system "$work"
    fi
    if [ -n "${SUDO_UID:-}" ]; then chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$repo/reports/out" "$cache/fresh"; fi
    exit "$rc"
}

sweep() { # systems left by a check that was killed
    local d
    for d in "$cache"/fresh/run.*; do
        if [ -d "$d" ] && ! kill -0 "${d##*.}" 2>/dev/null; then rm -rf --one-file-system "$d"; fi
    done
}

main() {
    local who=both w rc=0 args=("$@")
    commands=()
    refresh='' keep=''
    while [ $# -gt 0 ]; do
        case $1 in
            --enter)
                shift
                enter "$@"
                ;;
            --as)
                who=${2:?}
                shift
                ;;
            --run)
                commands+=("${2:?}")
                shift
                ;;
            --refresh) refresh=1 ;;
            --keep) keep=1 ;;
            *)
                sed -n '2,/^set -euo/p' "$self" | sed '$d; s/^# \{0,1\}//' >&2
                exit 2
                ;;
        esac
        shift
    done
    case $who in both) who="root user" ;; root | user) ;; *) die "--as root, user or both" ;; esac
    [ ${#commands[@]} -gt 0 ] || commands=('make scenario STORY=order-flow' 'make test')

    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "this needs root or sudo"
        exec sudo env "HOME=$HOME" "BV_CACHE=$cache" "$BASH" "$self" "${args[@]}"
    fi
    command -v debootstrap >/dev/null || die "no debootstrap: run scripts/local-dev/deps.sh fresh"
    mkdir -p "$cache/fresh" "$out"
    sweep
    work=$cache/fresh/run.$$
    mkdir "$work"
    trap cleanup EXIT
    trap 'exit 130' INT TERM HUP
    make_base
    # shellcheck disable=SC2046 # no branch is no argument
    in_repo bundle create -q "$work/repo.bundle" HEAD $(branch)
    printf 'fresh-check of %s on a minimal Debian 12, %s cores, load %s\n' "$(commit)" "$(nproc)" \
        "$(cut -d' ' -f1 /proc/loadavg)" | tee "$out/summary.txt"
    echo '("received": by the whole machine meanwhile, so an upper bound)' | tee -a "$out/summary.txt"
    for w in $who; do
        if check_as "$w"; then w="$w: PASS"; else
            w="$w: FAIL"
            rc=1
        fi
        echo "$w" | tee -a "$out/summary.txt"
    done
    exit "$rc"
}

in_repo() { git -c safe.directory="$repo" -C "$repo" "$@"; }
branch() { in_repo symbolic-ref -q --short HEAD || true; }
commit() {
    in_repo log -1 --format='%h (%s)'
    [ -z "$(in_repo status --porcelain)" ] || say "uncommitted changes are not part of it" >&2
}

main "$@"
