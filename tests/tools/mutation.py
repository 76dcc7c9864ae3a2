"""Would a law or a test notice a changed line?

    pip install cosmic-ray && python tests/tools/mutation.py --out mutation-out

changes one operator, comparison or number of the mathematics at a time, in a copy of the
repository, and runs the laws and the mathematics' own tests.  Then it prints the score and every
change that none of them noticed.  A run that was interrupted continues where it was.  Each
arithmetic operator becomes its inverse; other changes are noticed even more easily.

The tests run in forks of a process that has imported the libraries, so that no run has to wait for
the imports.
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

# Two groups, tried side by side.
GROUPS = [["schedule", "reverse", "sampling"], ["gaussian", "forward", "decoder", "elbo"]]
ASK = ("import socket,sys; connection = socket.create_connection(({host}, {port})); "
       "sys.exit(int(connection.makefile().read()))")
CONFIG = """
[cosmic-ray]
module-path = {modules}
timeout = 200.0
test-command = "{command}"
[cosmic-ray.distributor]
name = "local"
[cosmic-ray.filters.operators-filter]
exclude-operators = [
    "core/.*(BitAnd|BitOr|BitXor|LShift|RShift|Mod|FloorDiv|Invert).*",
    "core/.*(_Is|_IsNot|USub_Not|USub_UAdd).*",
    "core/ReplaceBinaryOperator_(Mul|Div)_(Add|Sub|Pow)",
    "core/ReplaceBinaryOperator_(Add|Sub)_(Mul|Div|Pow)",
    "core/ReplaceBinaryOperator_Pow_(Add|Sub|Div)"]
"""
REPOSITORY = Path(__file__).parents[2]


def serve(copy):
    """A server that runs the tests of `copy` for each connection, and sends the exit code."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads do not survive a fork
    sys.dont_write_bytecode = True
    import autograd.numpy
    import autograd.scipy.special  # noqa: F401
    import hypothesis  # noqa: F401
    import mpmath  # noqa: F401
    import pytest
    own, others = [], []
    for module in sum(GROUPS, []):
        tests = own if module in copy.name else others
        tests.append(f"tests/unit/test_{module}.py")
    options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=quick",
               "--examples=0.6"]
    os.chdir(copy)
    sys.path.insert(0, str(copy))

    class RunTests(socketserver.StreamRequestHandler):
        def handle(self):
            child = os.fork()
            if child == 0:
                signal.alarm(180)
                quiet = os.open(os.devnull, os.O_WRONLY)
                os.dup2(quiet, 1)
                os.dup2(quiet, 2)
                code = pytest.main([*options, *own])
                os._exit(code or pytest.main([*options, "tests/laws", *others]))
            _, status = os.waitpid(child, 0)
            self.wfile.write(str(0 if status == 0 else 1).encode())

    server = socketserver.TCPServer(("127.0.0.1", 0), RunTests)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def try_group(modules, out):
    """Run the session of some modules, or continue it."""
    name = "-".join(modules)
    copy, session, config = out / name, out / f"{name}.sqlite", out / f"{name}.toml"
    shutil.rmtree(copy, ignore_errors=True)
    for folder in ("tinyddpm", "tests", "demos"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / folder, copy / folder, ignore=ignored)
    server = subprocess.Popen([sys.executable, __file__, "--serve", copy],
                              stdout=subprocess.PIPE, text=True)
    try:
        paths = [f"tinyddpm/{module}.py" for module in modules]
        ask = ASK.format(host='\\"127.0.0.1\\"', port=int(server.stdout.readline()))
        command = f"{sys.executable} -I -S -c '{ask}'"
        unchanged = command.replace('\\"', '"')
        if subprocess.run(unchanged, shell=True).returncode:
            raise SystemExit(f"{copy}: the tests fail before any change")
        config.write_text(CONFIG.format(modules=paths, command=command))
        tool = Path(sys.executable).parent
        if not session.exists():
            subprocess.run([tool / "cosmic-ray", "init", config, session], cwd=copy, check=True)
            filter_operators = [tool / "cr-filter-operators", session, config]
            subprocess.run(filter_operators, cwd=copy, check=True)
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
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
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
