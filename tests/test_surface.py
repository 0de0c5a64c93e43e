import subprocess
import sys

import convlens


def test_public_names_are_these():
    assert sorted(convlens.__all__) == sorted({*convlens._SURFACE, "__version__"})


def test_every_public_name_is_there():
    for name in convlens.__all__:
        assert getattr(convlens, name) is not None


def test_import_convlens_imports_no_torch():
    code = "import sys, convlens; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
