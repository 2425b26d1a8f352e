"""The synthetic captures of the tests, made once in a folder of their own."""
import os
import subprocess
import tempfile

from common import ROOT

_folder = None


def synth(name, *arguments):
    """Path of the capture that tests/bench/synth.c writes for these arguments."""
    global _folder
    if _folder is None:
        _folder = tempfile.TemporaryDirectory(prefix="tapscope-synth-")
        subprocess.run(["gcc", "-O2", "-o", os.path.join(_folder.name, "synth"), os.path.join(ROOT, "tests/bench/synth.c")], check=True)
    path = os.path.join(_folder.name, name)
    if not os.path.exists(path):
        subprocess.run([os.path.join(_folder.name, "synth"), *map(str, arguments), path], check=True)
    return path
