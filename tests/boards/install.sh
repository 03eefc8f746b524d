#!/bin/sh
# Installs the cross compilers and emulators by apt-get, unless they are all there.
set -eu

packages="gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm
  gcc-avr avr-libc simavr gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc
  cmake"
missing=
for tool in arm-none-eabi-gcc qemu-system-arm avr-gcc simavr riscv64-unknown-elf-gcc \
  qemu-system-riscv32 cmake; do
  command -v $tool >/dev/null || missing="$missing $tool"
done
[ -z "$missing" ] && exit

[ "$(id -u)" -eq 0 ] && sudo= || sudo=sudo
if ! command -v apt-get >/dev/null || ! command -v ${sudo:-sh} >/dev/null; then
  echo "Not found, and only root may install it, with Debian's apt-get:$missing" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get -qq update
# shellcheck disable=SC2086  # each word is a package
$sudo apt-get -qq -y install --no-install-recommends $packages
