#!/bin/sh
# Picks a Python 3.10 to 3.13 and lets it build .venv at the repository root (dev/setup_env.py).
# Usage: [PYTHON=python3.11] [TORCH=torch==2.13.0] [MMCV=lite] sh dev/setup_env.sh
# Only shell built-ins are used here, so that every fault can be said, whatever PATH holds.

die() {
    printf 'set-up: %s\n' "$1" >&2
    exit 1
}

version_of() {
    "$1" -c 'import sys; sys.stdout.write("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

is_supported() {
    case $1 in
        3.10 | 3.11 | 3.12 | 3.13) return 0 ;;
        *) return 1 ;;
    esac
}

case $0 in
    */*) here=${0%/*} ;;
    *) here=. ;;
esac

if [ -n "${PYTHON:-}" ]; then
    version=$(version_of "$PYTHON") ||
        die "PYTHON=$PYTHON does not run; give a Python 3.10 to 3.13, for example: make PYTHON=python3.12"
    is_supported "$version" ||
        die "PYTHON=$PYTHON is Python $version, which is not supported; give a Python 3.10 to 3.13, for example: make PYTHON=python3.12"
    python=$PYTHON
else
    python=
    seen=
    for candidate in "$here/../.venv/bin/python" python3 python3.13 python3.12 python3.11 python3.10; do
        version=$(version_of "$candidate") || continue
        if is_supported "$version"; then
            python=$candidate
            break
        fi
        seen="$seen $candidate is $version,"
    done
    [ -n "$python" ] ||
        die "no Python 3.10 to 3.13 found (${seen:- no python3 in PATH,} others missing); install one, then: make PYTHON=/path/to/python3.12"
fi

exec "$python" "$here/setup_env.py"
