#!/bin/sh
# Installs what a build and its tests need: Debian and its children by name; elsewhere the list is printed and we stop.
# Usage: deps.sh [build|all]   (default all: with what the tests need)
set -eu
what=${1:-all}

debian_build="build-essential pkg-config libnng-dev libmbedtls-dev libev-dev libsodium-dev libprotobuf-c-dev
protobuf-c-compiler protobuf-compiler libhwloc-dev libudev-dev libjansson-dev libyaml-dev uthash-dev libxxhash-dev
libzstd-dev libtomlplusplus-dev libpmix-dev"
debian_test="slurmctld slurmd slurm-client munge libcmocka-dev python3-pytest iproute2 procps systemd clang libclang-rt-14-dev libglpk-dev
openmpi-bin libopenmpi-dev mpich libmpich-dev python3-venv chromium fonts-dejavu-core"
fedora="gcc gcc-c++ tomlplusplus-devel make pkgconf-pkg-config nng-devel mbedtls-devel libev-devel libsodium-devel protobuf-c-devel protobuf-c-compiler
protobuf-compiler hwloc-devel systemd-devel jansson-devel libyaml-devel uthash-devel xxhash-devel libzstd-devel pmix-devel
libcmocka-devel python3-pytest iproute procps-ng clang compiler-rt glpk-devel openmpi-devel mpich-devel"
opensuse="gcc gcc-c++ tomlplusplus-devel make pkgconf-pkg-config nng-devel mbedtls-devel libev-devel libsodium-devel libprotobuf-c-devel protobuf-c
protobuf-devel hwloc-devel systemd-devel libjansson-devel libyaml-devel uthash-devel xxhash-devel libzstd-devel pmix-devel
libcmocka-devel python3-pytest iproute2 procps clang glpk-devel openmpi-devel mpich-devel"

one_line()
{
    echo "$*" | tr -s ' \n' '  '
}

id=unknown
if [ -r /etc/os-release ]; then
    id=$(. /etc/os-release && echo "${ID:-} ${ID_LIKE:-}")
fi
case " $id " in
*" debian "*) ;;
*)
    cat >&2 <<END
This is not a Debian system, so nothing was installed. Please install, then run make again:
  Debian:   apt-get install $(one_line $debian_build $debian_test)
  Fedora:   dnf install $(one_line $fedora)
  openSUSE: zypper install $(one_line $opensuse)
If they are there already: make all, make run-demo, make run-tests.
END
    exit 1
    ;;
esac

wanted=$debian_build
[ "$what" = build ] || wanted="$wanted $debian_test"
missing=
for package in $wanted; do
    case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true) in
    ii*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1; then
        as_root=sudo
    else
        echo "These packages are missing; please have them installed: apt-get install$missing" >&2
        exit 1
    fi
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086 -- a list of words
$as_root apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 $missing >/dev/null
