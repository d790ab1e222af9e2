#!/usr/bin/env bash
# Installs the peers into a throw-away folder (default: /tmp/synop-peers); nothing here is needed to build or test synop.
#   setup.sh [FOLDER] [nest|brian|torch|gresil|sanafe|aihwkit …]        without names: all of them
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-/tmp/synop-peers}
shift || true
wanted=${*:-nest brian torch gresil sanafe aihwkit}
mkdir -p "$folder"
venv() { # name, packages…
    local name=$1
    shift
    [ -x "$folder/$name/bin/python" ] || python3 -m venv "$folder/$name"
    "$folder/$name/bin/pip" install --quiet "$@"
}
for peer in $wanted; do
    echo "== $peer"
    case $peer in
    nest) venv nest nest-simulator==3.10.0 "numpy" ;;
    brian) venv brian brian2==2.9.0 "numpy<2" ;; # compiles C++ when it runs: needs g++
    torch) venv torch torch numpy snntorch==1.0.0 norse==1.1.0 sinabs==3.1.3 ;;
    sanafe) venv sanafe sanafe==2.2.9 ;;
    aihwkit) venv aihwkit torch==2.10.0 aihwkit==1.1.0 numpy ;; # this pair of wheels imports without a compiler
    gresil) # its licence (AGPL) forbids linking: measured in a project of its own
        mkdir -p "$folder/gresil/src"
        cp "$here/w1_gresil.rs" "$folder/gresil/src/main.rs"
        printf '[package]\nname = "w1_gresil"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n[dependencies]\ngresil = "=0.1.0-alpha.9"\n[profile.release]\ncodegen-units = 1\nlto = true\n' \
            >"$folder/gresil/Cargo.toml"
        (cd "$folder/gresil" && RUSTFLAGS="-C target-cpu=native" cargo build --quiet --release)
        ;;
    *) echo "unknown peer $peer" >&2 && exit 2 ;;
    esac
done
