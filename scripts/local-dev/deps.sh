#!/usr/bin/env bash
# Installs what BitVelocity needs on Debian 12, group by group; fast and silent when nothing is missing.
#
#   scripts/local-dev/deps.sh [--dry-run] GROUP...
#   scripts/local-dev/deps.sh --packages GROUP...     print the Debian packages of the groups, one a line
#   scripts/local-dev/deps.sh --where                 print the folder of the unpacked artefacts (BV_DEPS_DIR)
#
#   scenario  build and run a story: compiler, C libraries, PostgreSQL, Redis, Java for Kafka
#   test      scenario + Criterion, the JSON Schema test suite, kcat; Chromium, Node.js, Python and the foreign
#             tools that the tests compare with (node-tools, python-tools)
#   bench     scenario + nginx, wrk, curl, HdrHistogram C sources; k6 if Go is there (pgbench comes with postgresql-15)
#   san       test + clang with its sanitizer runtimes, valgrind
#   fuzz      san + AFL++ and libFuzzer
#   lint      clang-format, clang-tidy, shellcheck; actionlint if Go is there
#   fresh     debootstrap and what `make fresh-check` needs
#
# Debian packages are installed as root or through sudo. Everything else is pinned by version and
# SHA-256 and unpacked, without root, into the cache:
#
#   ${BV_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bitvelocity}/deps/        (--where; CMake: BV_DEPS_DIR)
#     yyjson-0.10.0/yyjson.{c,h}
#     llhttp-9.4.3/{include/llhttp.h,src/{api,http,llhttp}.c}
#     otlp-1.3.2/opentelemetry/proto/**/*.proto
#     kafka-4.3.1/lib/*.jar
#     node-tools-1/node_modules/                    (test)   what node-tools/package-lock.json lists
#     python-tools-2/                               (test)   what python-tools.txt lists, for PYTHONPATH
#     hdrhistogram-1.0.0/src/*.{c,h}                (bench)
#     k6-1.8.1/bin/k6                               (bench)
#     actionlint-1.7.7/bin/actionlint               (lint)
#
# A folder appears whole or not at all (download, verify, rename) and holds the file .pin that says
# what was verified. Once all is there, no network is used. Two runs at once are safe.
# Exit: 0 all present, 1 something could not be installed, 2 wrong call.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
self=$here/$(basename "${BASH_SOURCE[0]}")
cache=${BV_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/bitvelocity}
deps=$cache/deps

# ---- what a group holds ------------------------------------------------------------------------

known_groups="scenario test bench san fuzz lint fresh"

group_includes() {
    case $1 in
        test | bench) echo scenario ;;
        san) echo test ;;
        fuzz) echo san ;;
    esac
}

group_packages() {
    case $1 in
        scenario)
            echo ca-certificates gcc libc6-dev make cmake ninja-build ccache pkg-config \
                libcurl4-openssl-dev librdkafka-dev libwebsockets-dev libprotobuf-c-dev \
                protobuf-c-compiler protobuf-compiler libprotobuf-dev libgrpc-dev libuv1-dev \
                libwslay-dev libssl-dev libpq-dev libhiredis-dev libyaml-dev zlib1g-dev \
                postgresql-15 redis-server openjdk-17-jre-headless
            ;;
        test) echo libcriterion-dev json-schema-test-suite kcat python3 nodejs chromium fonts-dejavu-core ;;
        bench) echo nginx-light wrk curl python3 ;;
        san) echo clang-14 libclang-rt-14-dev llvm-14 valgrind ;;
        fuzz) echo afl++ libfuzzer-14-dev ;;
        lint) echo clang-format-16 clang-tidy-14 shellcheck ;;
        fresh) echo debootstrap sudo git util-linux ;;
    esac
}

group_artefacts() {
    case $1 in
        scenario) echo yyjson llhttp otlp kafka ;;
        test) echo node-tools python-tools ;;
        bench) echo hdrhistogram k6 ;;
        lint) echo actionlint ;;
    esac
}

# artefact -> folder, the client that fetches it, what it asks that client for, SHA-256 of the answer.
# Where a list of many files is fetched (Kafka's jars, the test tools), the hash is the one of that list, which holds theirs.
artefact() {
    case $1 in
        yyjson) echo yyjson-0.10.0 pip yyjson==4.0.6 \
            fcd4dc15c1e39a30bf9fa85d56903029111506860fc3080ab0d81c6c6dacaa8c ;;
        llhttp) echo llhttp-9.4.3 pip httptools==0.9.0 \
            d484ebb7e3a3f3597b0f645fbd1b85633674ca808c1f5ba11c2caf7c66f5c8b6 ;;
        otlp) echo otlp-1.3.2 mvn io.opentelemetry.proto:opentelemetry-proto:1.3.2-alpha \
            5e5d61a86cbdbc1db8c806894b6e4e253ea151671903ed51c021c705f7c37440 ;;
        kafka) echo kafka-4.3.1 mvn org.apache.kafka:kafka_2.13:4.3.1 "$(sha256_of "$here/kafka-jars.sha256")" ;;
        node-tools) echo node-tools-1 npm node-tools/package-lock.json \
            "$(sha256_of "$here/node-tools/package-lock.json")" ;;
        python-tools) echo python-tools-2 pip python-tools.txt "$(sha256_of "$here/python-tools.txt")" ;;
        hdrhistogram) echo hdrhistogram-1.0.0 npm native-hdr-histogram@1.0.0 \
            eb6feca66739e670eac90d41fbbe69a6eb084491f3e7cf8556d31ac651c1d600 ;;
        k6) echo k6-1.8.1 go go.k6.io/k6@v1.8.1 - ;;
        actionlint) echo actionlint-1.7.7 go github.com/rhysd/actionlint/cmd/actionlint@v1.7.7 - ;;
    esac
}

# ---- small things ------------------------------------------------------------------------------

say() { printf 'deps: %s\n' "$*"; }
die() {
    printf 'deps: %s\n' "$*" >&2
    exit 1
}
sha256_of() { sha256sum "$1" | cut -d' ' -f1; }

verify() { # FILE SHA256
    [ -f "$1" ] || die "$(basename "$1") was not delivered"
    local have
    have=$(sha256_of "$1")
    [ "$have" = "$2" ] || die "$(basename "$1") has SHA-256 $have, expected $2: refused"
}

expand_groups() { # GROUP... -> each group once, what it includes first
    local g seen=" $expanded "
    for g in "$@"; do
        case " $known_groups " in
            *" $g "*) ;;
            *)
                echo "deps: no group '$g' (there are: $known_groups)" >&2
                exit 2
                ;;
        esac
        local inc
        inc=$(group_includes "$g")
        [ -z "$inc" ] || expand_groups "$inc"
        seen=" $expanded "
        case $seen in *" $g "*) ;; *) expanded="$expanded $g" ;; esac
    done
}

missing_packages() { # PACKAGE... -> those not installed, in order
    [ $# -gt 0 ] || return 0
    local have
    # shellcheck disable=SC2016 # the ${...} are dpkg-query's own
    have=" $(dpkg-query -W -f '${db:Status-Status}=${Package} ' "$@" 2>/dev/null || true) "
    local p
    for p in "$@"; do
        case $have in *" installed=$p "*) ;; *) echo "$p" ;; esac
    done
}

artefact_pin() { # NAME -> the line its .pin must hold
    local dir client what sha
    read -r dir client what sha <<<"$(artefact "$1")"
    echo "$client $what $sha"
}

artefact_present() { # NAME
    local dir rest have=
    read -r dir rest <<<"$(artefact "$1")"
    [ -f "$deps/$dir/.pin" ] || return 1
    read -r have <"$deps/$dir/.pin" || true
    [ "$have" = "$rest" ]
}

missing_artefacts() { # NAME...
    local a
    for a in "$@"; do artefact_present "$a" || echo "$a"; done
}

# What is built with Go is left out, with a word, where there is none: nothing depends on it.
without_go() { # uses need_artefacts
    local a dir client rest kept=()
    command -v go >/dev/null && return
    for a in "${need_artefacts[@]}"; do
        read -r dir client rest <<<"$(artefact "$a")"
        if [ "$client" = go ]; then say "no Go here: $a is left out"; else kept+=("$a"); fi
    done
    need_artefacts=("${kept[@]}")
}

# The package that brings a client, asked for only if the client is missing and something must be fetched.
client_packages() { # ARTEFACT...
    local a dir client rest
    for a in "$@"; do
        read -r dir client rest <<<"$(artefact "$a")"
        case $client in
            pip) python3 -m pip --version >/dev/null 2>&1 || echo python3-pip ;;
            mvn) {
                command -v mvn >/dev/null || echo maven
                command -v python3 >/dev/null || echo python3-minimal
            } ;;
            npm) command -v npm >/dev/null || echo npm ;;
        esac
    done | sort -u
}

# ---- Debian packages ---------------------------------------------------------------------------

# Runs as root, in a process of its own: deps.sh --root-stage update | install PACKAGE...
# Progress goes to stdout, everything apt says to stderr.
root_stage() {
    local what=$1
    shift
    exec 9>/run/lock/bitvelocity-deps.lock
    flock 9 # one installation at a time: the second would lose the policy file of the first
    export DEBIAN_FRONTEND=noninteractive
    # An archive folder of its own: clean-up hooks of another apt delete from the common one.
    rm -rf /var/tmp/bv-apt.* # of a run that was killed: we hold the lock
    archives=$(mktemp -d /var/tmp/bv-apt.XXXXXX)
    policy=
    # shellcheck disable=SC2154 # set by the trap's own command
    trap 'rc=$?; rm -rf "$archives"; [ -z "$policy" ] || rm -f "$policy"; exit $rc' EXIT
    trap 'exit 130' INT TERM HUP
    chmod 755 "$archives"
    mkdir "$archives/partial"
    case $what in
        update) apt_update ;;
        install)
            forbid_service_starts
            apt_install "$@" || {
                echo "deps: first try failed: repairing, refreshing the package lists, once more" >&2
                repair
                apt_update && apt_install "$@"
            }
            ;;
    esac
}

apt_update() {
    local try
    for try in 1 2 3 4 5 6 7 8 9 10; do # apt waits for dpkg's lock but not for the one of the lists
        apt-get -q update -o Acquire::Retries=3 -o APT::Update::Error-Mode=any >&2 9>&- && return 0
        echo "deps: apt-get update, try $try failed" >&2
        sleep 3
    done
    return 1
}

repair() { # what an installation that was killed leaves behind
    dpkg --configure -a --force-confdef --force-confold >&2 9>&- </dev/null || true
    apt-get -q -y -f install -o Dir::Cache::archives="$archives" -o DPkg::Lock::Timeout=600 \
        >&2 9>&- </dev/null || true
}

apt_install() {
    apt-get -q -y install --no-install-recommends -o Dir::Cache::archives="$archives" \
        -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 \
        -o APT::Status-Fd=3 "$@" 3>&1 >&2 9>&- </dev/null | show_progress
}

show_progress() { # apt's status lines -> a line every two seconds at most
    local kind pct shown=$SECONDS
    while IFS=: read -r kind _ pct _; do
        case $kind in dlstatus) kind=downloaded ;; pmstatus) kind=installed ;; *) continue ;; esac
        if ((SECONDS >= shown + 2)); then
            printf 'deps:   %s %s %%\n' "$kind" "${pct%%.*}"
            shown=$SECONDS
        fi
    done
}

# No package may start a service of the system. A policy that is already there stays untouched; one
# with our mark was left behind by a killed run and is ours to remove.
forbid_service_starts() {
    local file=/usr/sbin/policy-rc.d
    if [ ! -e "$file" ] || grep -qs 'bitvelocity: temporary' "$file"; then
        policy=$file
        printf '#!/bin/sh\n# bitvelocity: temporary, while packages are installed\nexit 101\n' >"$file"
        chmod 755 "$file"
    fi
}

check_root() { # before anything starts, so that the sentence is the last thing seen
    [ "$(id -u)" != 0 ] || return 0
    local line="apt-get install -y --no-install-recommends ${need_packages[*]}"
    command -v sudo >/dev/null || die "packages are missing, and here is neither root nor sudo; as root run: $line"
    sudo -n true 2>/dev/null || [ -t 0 ] ||
        die "packages are missing, and sudo wants a password but has no terminal to ask; as root run: $line"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
        return
    fi
    local v keep=() # sudo clears the environment; apt may need the proxy
    for v in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
        [ -z "${!v:-}" ] || keep+=("$v=${!v}")
    done
    sudo env "${keep[@]}" "$@"
}

plan() { # PACKAGE... -> what apt would fetch and unpack; fails if the lists do not know them
    { LC_ALL=C apt-get install --no-install-recommends --assume-no -o Debug::NoLocking=1 "$@" 2>/dev/null ||
        true; } | # "no" counts as a failure
        awk '/^Need to get/ { get = $4 " " $5; sub(/\/.*/, "", get); }
             /^After this operation/ { disk = $4 " " $5 }
             /newly installed/ { new = $3; up = $1 }
             END { if (new == "") exit 1;
                   printf "%d packages with what they need, %s to download, %s on disk\n", new + up, get, disk }'
}

install_packages() { # uses need_packages
    local summary log=$cache/log/apt.log
    check_root
    mkdir -p "$cache/log"
    : >"$log"
    if ! summary=$(plan "${need_packages[@]}"); then
        say "refreshing the package lists"
        as_root "$BASH" "$self" --root-stage update 2>>"$log" || fail_with "$log" "apt-get update failed"
        summary=$(plan "${need_packages[@]}") || fail_with "$log" "apt cannot install: ${need_packages[*]}"
    fi
    say "installing $summary:"
    printf '%s\n' "${need_packages[*]}" | fold -s -w 92 | sed 's/^/deps:   /'
    as_root "$BASH" "$self" --root-stage install "${need_packages[@]}" 2>>"$log" ||
        fail_with "$log" "apt-get install failed"
}

fail_with() { # LOG TEXT
    tail -n 15 "$1" >&2
    die "$2 (whole log: $1)"
}

# ---- artefacts ---------------------------------------------------------------------------------

# pip runs a source package's setup to learn its name, so the one tool it needs for that is pinned too.
setuptools='setuptools==80.9.0 --hash=sha256:062d34222ad13e0cc312a4c02d73f059e86a4acbfbdea8f8f76b28c99f306922'

fetch_pip() { # WHAT SHA256 -> $tmp/got
    if [ ! -d "$tmp/py" ]; then
        echo "$setuptools" >"$tmp/setuptools.txt"
        python3 -m pip install -q --no-cache-dir --no-deps --only-binary :all: --target "$tmp/py" \
            --root-user-action ignore --require-hashes -r "$tmp/setuptools.txt"
    fi
    echo "$1 --hash=sha256:$2" >"$tmp/requirement.txt"
    rm -rf "$tmp/dl"
    PYTHONPATH=$tmp/py python3 -m pip download -q --no-cache-dir --no-deps --no-build-isolation \
        --no-binary "${1%%==*}" -d "$tmp/dl" --require-hashes -r "$tmp/requirement.txt"
    mv "$tmp"/dl/*.tar.gz "$tmp/got"
}

mvn_plugin() { # GOAL ARGUMENT...
    local goal=$1
    shift
    mvn -B -q -Dmaven.repo.local="$tmp/m2" \
        "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:$goal" "$@" 2>&1 |
        sed 's/\x1b\[[0-9;]*m//g; /^$/d' # it resets the colour even where there is none
}

fetch_mvn() { # GROUP:NAME:VERSION -> $tmp/got
    rm -rf "$tmp/dl"
    mvn_plugin copy -Dartifact="$1" -DoutputDirectory="$tmp/dl"
    mv "$tmp"/dl/*.jar "$tmp/got"
}

fetch_npm() { # NAME@VERSION -> $tmp/got; npm pack runs no script of the package
    mkdir -p "$tmp/dl-npm"
    (cd "$tmp/dl-npm" && npm pack --silent --cache "$tmp/npm-cache" "$1" >/dev/null)
    mv "$tmp"/dl-npm/*.tgz "$tmp/got"
}

get_yyjson() {
    fetch_pip "$what" "$sha"
    verify "$tmp/got" "$sha"
    tar -xzf "$tmp/got" -C "$new" --strip-components=2 --wildcards '*/yyjson/yyjson.[ch]'
    verify "$new/yyjson.c" 26e50ca6a9a08d88b15ed7a47c144e29766216d134cad3a016de6163c5bb224d
}

get_llhttp() {
    fetch_pip "$what" "$sha"
    verify "$tmp/got" "$sha"
    tar -xzf "$tmp/got" -C "$new" --strip-components=3 --wildcards '*/vendor/llhttp/*'
}

get_otlp() {
    fetch_mvn "$what"
    verify "$tmp/got" "$sha"
    python3 -c 'import sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
z.extractall(sys.argv[2], [n for n in z.namelist() if n.endswith(".proto")])' "$tmp/got" "$new"
}

get_kafka() {
    local g=${what%%:*} rest=${what#*:}
    mkdir -p "$tmp/kafka"
    cat >"$tmp/kafka/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>bitvelocity</groupId><artifactId>kafka-runtime</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>$g</groupId><artifactId>${rest%%:*}</artifactId><version>${rest#*:}</version></dependency>
  </dependencies>
</project>
POM
    (cd "$tmp/kafka" && mvn_plugin copy-dependencies -DoutputDirectory="$new/lib" -DincludeScope=runtime)
    (cd "$new/lib" && sha256sum -c --strict --quiet "$here/kafka-jars.sha256" >&2) ||
        die "a Kafka jar differs from kafka-jars.sha256: refused"
    local n
    n=$(find "$new/lib" -type f | wc -l)
    [ "$n" = "$(wc -l <"$here/kafka-jars.sha256")" ] || die "Kafka came with $n files, not those of the list"
}

get_node_tools() { # npm checks each package against the lock; no script of a package runs
    cp "$here"/node-tools/package.json "$here"/node-tools/package-lock.json "$new/"
    (cd "$new" && npm ci --silent --ignore-scripts --no-audit --no-fund --cache "$tmp/npm-cache" >&2)
}

get_python_tools() {
    python3 -m pip install -q --no-cache-dir --no-deps --only-binary :all: --target "$new" \
        --root-user-action ignore --disable-pip-version-check --require-hashes -r "$here/$what"
}

get_hdrhistogram() {
    fetch_npm "$what"
    verify "$tmp/got" "$sha"
    tar -xzf "$tmp/got" -C "$new" --strip-components=2 --wildcards '*/HdrHistogram_c/*'
}

get_actionlint() { fetch_go; }
get_k6() { fetch_go; }

fetch_go() { # the go command checks modules against its checksum database
    GOBIN=$new/bin GOFLAGS='' go install "$what"
}

fetch_artefact() { # NAME
    local name=$1 dir client what sha new
    read -r dir client what sha <<<"$(artefact "$name")"
    new=$tmp/new-$dir
    mkdir "$new"
    say "fetching $what"
    "get_${name//-/_}"
    rm -f "$tmp/got"
    echo "$client $what $sha" >"$new/.pin"
    if [ -e "$deps/$dir" ]; then mv -T "$deps/$dir" "$tmp/old-$dir"; fi
    mv -T "$new" "$deps/$dir"
}

fetch_artefacts() { # NAME...
    local name
    mkdir -p "$deps"
    exec 8>"$deps/.lock"
    flock 8
    rm -rf "$cache"/tmp.* # of a run that was killed: we hold the lock
    tmp=$(mktemp -d "$cache/tmp.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    trap 'exit 130' INT TERM HUP
    for name in "$@"; do
        artefact_present "$name" || fetch_artefact "$name" # the other run may have been faster
    done
}

# ---- main --------------------------------------------------------------------------------------

usage() {
    sed -n '2,/^set -euo/p' "$self" | sed '$d; s/^# \{0,1\}//'
}

main() {
    local mode=install g
    case ${1:-} in
        --root-stage)
            shift
            root_stage "$@"
            return
            ;;
        --dry-run | --packages)
            mode=${1#--}
            shift
            ;;
        --where)
            echo "$deps"
            return
            ;;
        -h | --help)
            usage
            return
            ;;
    esac
    [ $# -gt 0 ] || {
        usage >&2
        exit 2
    }
    expanded=
    expand_groups "$@"

    local packages=() artefacts=()
    for g in $expanded; do
        # shellcheck disable=SC2207 # names hold no blanks
        packages+=($(group_packages "$g"))
        # shellcheck disable=SC2207
        artefacts+=($(group_artefacts "$g"))
    done
    if [ "$mode" = packages ]; then
        printf '%s\n' "${packages[@]}"
        return
    fi
    command -v dpkg-query >/dev/null || die "this needs Debian 12 or one of its relatives (no dpkg-query here)"

    mapfile -t need_artefacts < <(missing_artefacts "${artefacts[@]}")
    without_go
    mapfile -t need_packages < <(
        missing_packages "${packages[@]}"
        client_packages "${need_artefacts[@]}"
    )
    if [ ${#need_packages[@]} = 0 ] && [ ${#need_artefacts[@]} = 0 ]; then return; fi

    if [ "$mode" = dry-run ]; then
        if [ ${#need_packages[@]} -gt 0 ]; then
            say "would install $(plan "${need_packages[@]}" || echo "(sizes unknown: no package lists yet)"):"
            printf '%s\n' "${need_packages[*]}" | fold -s -w 92 | sed 's/^/deps:   /'
        fi
        for g in "${need_artefacts[@]}"; do say "would fetch $(artefact_pin "$g")"; done
        return
    fi
    if [ ${#need_packages[@]} -gt 0 ]; then install_packages; fi
    if [ ${#need_artefacts[@]} -gt 0 ]; then fetch_artefacts "${need_artefacts[@]}"; fi
    say "ready: ${expanded# } ($deps)"
}

main "$@"
