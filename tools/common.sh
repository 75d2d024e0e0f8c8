# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# common.sh - sourced by tools/test and tools/demo: what this project needs of the machine, how it is
# installed, and a build that shows how far it is. It expects bash 5 and nothing else.

# One line each: the Debian package, and how to see without dpkg that what we need of it is there:
# command NAME, header FILE, or fuzzer (clang can link libFuzzer and the sanitizers).
build_needs='
gcc             command gcc
libc6-dev       header stdio.h
cmake           command cmake
ninja-build     command ninja
pkg-config      command pkg-config
libck-dev       header ck_epoch.h
liburing-dev    header liburing.h
libxxhash-dev   header xxhash.h
libmimalloc-dev header mimalloc.h
libcmocka-dev   header cmocka.h
libssl-dev      header openssl/evp.h
libjansson-dev  header jansson.h
python3         command python3
'
test_needs='
g++                command g++
clang              command clang
libclang-rt-14-dev fuzzer
llvm               command llvm-symbolizer
clang-format       command clang-format
git                command git
iproute2           command ip
man-db             command man
procps             command ps
nftables           command nft
serf               command serf
'

started_s=$SECONDS

# say TEXT: one line of progress, with the time since the start.
say()
{
    local elapsed_s=$((SECONDS - started_s))
    printf '[%d:%02d] %s\n' $((elapsed_s / 60)) $((elapsed_s % 60)) "$*"
}

# die CODE TEXT
die()
{
    local code=$1
    shift
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit "$code"
}

on_debian_12()
{
    [[ -r /etc/os-release ]] && command -v dpkg-query >/dev/null &&
        (. /etc/os-release && [[ $ID == debian && $VERSION_ID == 12 ]])
}

# is_there PACKAGE KIND [WHAT]
is_there()
{
    if on_debian_12; then
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
        return
    fi
    case $2 in
    command) command -v "$3" >/dev/null ;;
    header) echo "#include <$3>" | gcc -E - >/dev/null 2>&1 ;;
    fuzzer)
        echo 'int LLVMFuzzerTestOneInput(const void *d, unsigned long n) { return !d && n; }' |
            clang -fsanitize=fuzzer,address,undefined -x c - -o /dev/null 2>/dev/null
        ;;
    esac
}

# missing_packages NEEDS: prints the packages that are not there, one a line.
missing_packages()
{
    local package kind what
    while read -r package kind what; do
        if [[ -n $package ]] && ! is_there "$package" "$kind" "$what"; then
            echo "$package"
        fi
    done <<<"$1"
}

# as_root COMMAND...: through sudo if need be; never waits for a password that nobody can type.
as_root()
{
    if ((EUID == 0)); then
        "$@"
    elif [[ -t 0 ]]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# install_packages NEEDS: apt is called only if something is missing.
install_packages()
{
    local missing
    mapfile -t missing < <(missing_packages "$1")
    if ((${#missing[@]} == 0)); then
        return 0
    fi
    if ! on_debian_12; then
        die 2 "missing, by their Debian 12 names: ${missing[*]}; install them and try again"
    fi
    if ((EUID != 0)) && ! command -v sudo >/dev/null; then
        die 2 "missing: ${missing[*]}; as root: apt-get install ${missing[*]}"
    fi
    say "installing ${missing[*]}"
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0)
    as_root "${apt[@]}" update </dev/null ||
        die 2 "apt-get update failed; missing: ${missing[*]}"
    as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null ||
        die 2 "apt-get could not install: ${missing[*]}"
}

# thin_progress: of ninja's "[12/80] ..." lines passes one in ten seconds, of the others every one.
# For output that is kept: a terminal gets ninja's own single line.
thin_progress()
{
    local line last_s=$SECONDS progress='^\[([0-9]+)/([0-9]+)\]'
    while IFS= read -r line; do
        if [[ $line =~ $progress ]]; then
            if ((SECONDS - last_s < 10)) && [[ ${BASH_REMATCH[1]} != "${BASH_REMATCH[2]}" ]]; then
                continue
            fi
            last_s=$SECONDS
        fi
        printf '%s\n' "$line"
    done
}

# build_preset PRESET BUILD_DIR [TARGET...]: configures and builds. Returns non-zero if it fails.
build_preset()
{
    local preset=$1 build_dir=$2
    shift 2
    local configure=(cmake --preset "$preset" -B "$build_dir")
    if command -v ccache >/dev/null; then
        configure+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
    fi
    local build=(cmake --build "$build_dir" --parallel "$(nproc)")
    if (($# > 0)); then
        build+=(--target "$@")
    fi
    say "$preset: configuring"
    if ! "${configure[@]}" >"$build_dir.configure.log" 2>&1 </dev/null; then
        cat "$build_dir.configure.log"
        return 1
    fi
    say "$preset: building"
    if [[ -t 1 ]]; then
        "${build[@]}" </dev/null
    else
        "${build[@]}" </dev/null | thin_progress
        return "${PIPESTATUS[0]}"
    fi
}
