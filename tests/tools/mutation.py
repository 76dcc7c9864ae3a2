"""Would a changed line be noticed?

    pip install cosmic-ray && python tests/tools/mutation.py --out mutation-out

changes one operator, comparison or number of the mathematical core at a time, in a copy of the repository, and lets the
laws and the core's own tests look for it; then prints the score and every change that nothing noticed.  A run that was
interrupted goes on where it was.  Each arithmetic operator becomes its inverse; others are noticed even more easily.

The tests run in forks of a process that has imported the libraries, so that each change need not wait for them.
"""
import argparse
import os
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

GROUPS = [["schedule", "reverse"], ["gaussian", "forward", "elbo"]]  # tried side by side
CONFIG = """
[cosmic-ray]
module-path = {modules}
timeout = 200.0
test-command = "{python} -I -S -c 'import socket,sys; sys.exit(int(socket.create_connection((\\"127.0.0.1\\", {port})).makefile().read()))'"
[cosmic-ray.distributor]
name = "local"
[cosmic-ray.filters.operators-filter]
exclude-operators = [
    "core/.*(BitAnd|BitOr|BitXor|LShift|RShift|Mod|FloorDiv|Invert|_Is|_IsNot|USub_Not|USub_UAdd).*",
    "core/ReplaceBinaryOperator_(Mul|Div)_(Add|Sub|Pow)", "core/ReplaceBinaryOperator_(Add|Sub)_(Mul|Div|Pow)",
    "core/ReplaceBinaryOperator_Pow_(Add|Sub|Div)"]
"""
REPOSITORY = Path(__file__).parents[2]


def serve(copy):
    """A server on a port of its own: whoever connects is told the exit code of the tests of `copy` as it is now."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads do not survive a fork
    sys.dont_write_bytecode = True
    import autograd.numpy
    import autograd.scipy.special  # noqa: F401
    import hypothesis  # noqa: F401
    import mpmath  # noqa: F401
    import pytest
    own, others = ([f"tests/unit/test_{module}.py" for group in GROUPS for module in group if (module in copy.name) == mine]
                   for mine in (True, False))
    os.chdir(copy)
    sys.path.insert(0, str(copy))

    class Ask(socketserver.StreamRequestHandler):
        def handle(self):
            child = os.fork()
            if child == 0:
                signal.alarm(180)
                quiet = os.open(os.devnull, os.O_WRONLY)
                os.dup2(quiet, 1)
                os.dup2(quiet, 2)
                os._exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=quick", *own, "tests/laws", *others]))
            _, status = os.waitpid(child, 0)
            self.wfile.write(str(0 if status == 0 else 1).encode())

    server = socketserver.TCPServer(("127.0.0.1", 0), Ask)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def try_group(modules, out):
    """Run (or go on with) the session of some modules."""
    name = "-".join(modules)
    copy, session, config = out / name, out / f"{name}.sqlite", out / f"{name}.toml"
    shutil.rmtree(copy, ignore_errors=True)
    for folder in ("tinyddpm", "tests"):
        shutil.copytree(REPOSITORY / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    server = subprocess.Popen([sys.executable, __file__, "--serve", copy], stdout=subprocess.PIPE, text=True)
    try:
        paths = [f"tinyddpm/{module}.py" for module in modules]
        config.write_text(CONFIG.format(modules=paths, python=sys.executable, port=int(server.stdout.readline())))
        tool = Path(sys.executable).parent
        if not session.exists():
            subprocess.run([tool / "cosmic-ray", "init", config, session], cwd=copy, check=True)
            subprocess.run([tool / "cr-filter-operators", session, config], cwd=copy, check=True)
        subprocess.run([tool / "cosmic-ray", "exec", config, session], cwd=copy, check=True)
    finally:
        server.kill()


def report(out):
    """The score over all sessions, and a diff for each change that nothing noticed."""
    from cosmic_ray.work_db import WorkDB, use_db
    from cosmic_ray.work_item import TestOutcome

    survivors, tried = [], 0
    for session in sorted(out.glob("*.sqlite")):
        with use_db(session, WorkDB.Mode.open) as db:
            for _, result in db.completed_work_items:
                tried += result.worker_outcome.name == "NORMAL"
                if result.test_outcome == TestOutcome.SURVIVED:
                    survivors.append(result.diff)
    print("\n".join(survivors))
    print(f"{tried} changes, {tried - len(survivors)} noticed, {len(survivors)} not")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("mutation-out"))
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    threads = [threading.Thread(target=try_group, args=(modules, out)) for modules in GROUPS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report(out)
