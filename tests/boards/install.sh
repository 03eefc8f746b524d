#!/bin/sh
# Installs the cross compilers and emulators by apt-get, unless they are all there.
#
#   install.sh            fails if it may not
#   install.sh --if-root  for make test: the browser that looks at pages too; if it may not it says
#                         what is left out, and does not fail
set -eu

packages="gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm
  gcc-avr avr-libc simavr gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc
  gcc-xtensa-lx106 picolibc-xtensa-lx106-elf qemu-user arduino-core-avr cmake"
tools="arm-none-eabi-gcc qemu-system-arm avr-gcc simavr riscv64-unknown-elf-gcc qemu-system-riscv32
  xtensa-lx106-elf-gcc qemu-system-xtensa qemu-aarch64 cmake"
browser=
[ "${1-}" != --if-root ] || browser=chromium

missing=
for tool in $tools $browser; do
  command -v "$tool" >/dev/null || missing="$missing $tool"
done
[ -n "$missing" ] || exit 0

give_up() {
  if [ -n "$browser" ]; then
    echo "Not found, and what needs it is not tested:$missing"
    exit 0
  fi
  echo "Not found, and only root may install it, with Debian's apt-get:$missing" >&2
  exit 1
}

sudo=
if [ "$(id -u)" -ne 0 ]; then
  [ -z "$browser" ] || give_up
  sudo=sudo
fi
command -v apt-get >/dev/null && command -v ${sudo:-sh} >/dev/null || give_up

install() {
  $sudo apt-get -qq -y install --no-install-recommends "$@"
}
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get -qq update || give_up
# shellcheck disable=SC2086  # each word is a package
install $packages || give_up
[ -z "$browser" ] || install $browser || give_up
