"""Do other draws lead to other verdicts?

    python tests/tools/verdicts.py                        # tinyddpm
    python tests/tools/verdicts.py tests/museum/plain.py --seeds 20

judges each law with the draws of the default and of 20 seeds, and prints the laws whose verdicts
differ, with the first seed of each verdict.  It ends with 1 if there are any.
"""
import argparse
import sys
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
import judge
import smoke
from conftest import find
from implementation import Implementation, load


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["tinyddpm"])
    parser.add_argument("--seeds", type=int, default=20)
    arguments = parser.parse_args()
    differ = 0
    for name in arguments.names:
        ddpm = Implementation(load(find(name)))
        ddpm.slips.update(smoke.smoke(ddpm))
        counts = {}
        for law, function in tqdm(judge.all_laws().items(), Path(name).stem):
            usual = judge.judge(function, ddpm, shrink=False)
            first = {usual.kind: None}  # {verdict: its first seed}
            for seed in range(arguments.seeds):
                other = judge.judge(function, ddpm, seed=seed, shrink=False, usual=usual)
                first.setdefault(other.kind, seed)
            kinds = " or ".join(first)
            counts[kinds] = counts.get(kinds, 0) + 1
            if len(first) > 1:
                differ += 1
                tqdm.write(f"{law}: {first}")
        print(f"{name}, {1 + arguments.seeds} times: {counts}")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
