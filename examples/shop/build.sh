#!/bin/sh
# Builds the shop as a static binary and puts it where the Dockerfile takes it from: examples/shop/bin/shop.
# The image is made FROM scratch, so nothing has to be pulled from anywhere.
set -eu
cd "$(dirname "$0")/../.."

target=x86_64-unknown-linux-gnu
if [ "$(uname -m)" = aarch64 ]; then target=aarch64-unknown-linux-gnu; fi

RUSTFLAGS="${RUSTFLAGS:-} -Ctarget-feature=+crt-static" \
    cargo build --quiet --release -p shop --target "$target"

mkdir -p examples/shop/bin
# Aside and renamed: a build of the image that runs meanwhile takes the old file or the new one.
cp "${CARGO_TARGET_DIR:-target}/$target/release/shop" examples/shop/bin/shop.new
strip examples/shop/bin/shop.new 2>/dev/null || true
mv examples/shop/bin/shop.new examples/shop/bin/shop
echo "examples/shop/bin/shop: $(wc -c < examples/shop/bin/shop) bytes"
